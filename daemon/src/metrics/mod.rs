//! What watching programs are told: figures for Prometheus, and whether all is well.
//!
//! Rooms above hand their figures to the [`Registry`], which asks for them when somebody looks and not before.

mod answer;
mod config;
mod durations;
mod figure;
mod host;
mod registry;
pub mod serve;

pub use config::Config;
pub use durations::Durations;
pub use figure::Figure;
pub use registry::Registry;
