//! What needs several of the brothers at once: the API and the collectors call it, and it knows neither.

pub mod balances;
pub mod channel_state;
pub mod closing;
pub mod open;
pub mod rebalance;
