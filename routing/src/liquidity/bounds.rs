//! What is known of one direction of a channel: bounds as they were learnt, and the range that they leave now.

/// Bounds on what one direction of a channel can carry, each with the time it was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// This much was there, msat.
    pub least_msat: u64,
    /// When `least_msat` was learnt, seconds.
    pub least_at: u64,
    /// No more than this was there, msat; `u64::MAX` for no bound.
    pub most_msat: u64,
    /// When `most_msat` was learnt, seconds.
    pub most_at: u64,
}

impl Bounds {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { least_msat: 0, least_at: 0, most_msat: u64::MAX, most_at: 0 };
}

/// What one direction of a channel can carry, as far as we know now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// At least this, msat.
    pub least_msat: u64,
    /// At most this, msat.
    pub most_msat: u64,
}
