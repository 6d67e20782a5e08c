//! Our planner under LDK's interface: views that follow gossip, beliefs that learn, plans as LDK routes.
//!
//! Imports `ldk` only.

mod beliefs;
mod broken;
mod constraints;
mod flight;
mod in_flight;
mod no_route;
mod plan;
mod query;
mod route;
pub mod router;
mod share;
pub mod stored;
mod view;

pub use beliefs::{HtlcOutcome, PathOutcome};
pub use constraints::{Constraints, is_named};
pub use in_flight::FoundPath;
pub use no_route::{Cause, NoRouteReason};
pub use plan::Planner;
pub use query::Wanted;
pub use share::BadBelief;
