//! Pathfinding for Lightning payments: pure functions from a channel graph, what we believe of its
//! liquidity and a query to an exact plan, or to the reason why there is none.
//!
//! Nothing here reads a clock, draws a random number or touches a file; time comes in as seconds and
//! chance as a seed. The way through the crate is the way of a query: [`graph`] (what the world says)
//! and [`liquidity`] (what we believe) are laid under the query by `path::layer`, searched by `path`,
//! solved as a flow by `flow`, made exact by `flow::refine`, judged by [`check`], and handed out by
//! [`plan()`]. [`simulator`] and [`fixture`] are for measuring: a network whose balances are known.

pub mod amount;
pub mod check;
mod cost;
pub mod explain;
pub mod fixture;
mod flow;
pub mod graph;
pub mod liquidity;
mod path;
pub mod plan;
pub mod planner;
pub mod price;
pub mod query;
pub mod simulator;

pub use explain::NoRoute;
pub use graph::build::Builder;
pub use graph::overlay::{HintChannel, Overlay, OwnChannel};
pub use graph::view::View;
pub use graph::{NodeKey, Policy};
pub use liquidity::Beliefs;
pub use plan::{Hop, Part, Plan};
pub use planner::{Planner, plan};
pub use price::price;
pub use query::Query;
