//! Metrics for Prometheus at `/metrics`, and health at `/healthz`.
//!
//! Rooms above register sources with the [`Registry`], which calls them for each scrape and not in between.

mod answer;
mod config;
mod durations;
mod host;
mod metric;
mod registry;
pub mod serve;

pub use config::Config;
pub use durations::Durations;
pub use metric::Metric;
pub use registry::Registry;
