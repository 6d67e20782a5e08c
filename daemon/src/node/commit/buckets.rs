//! Bounds how many HTLCs each channel may bring within a minute.

use std::collections::HashMap;
use std::time::Duration;

use lightning::ln::types::ChannelId;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// One token bucket for each channel that has brought HTLCs lately: it holds a minute's worth, and refills steadily.
pub struct Buckets {
    per_minute: Option<f64>,
    buckets: HashMap<ChannelId, Bucket>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    /// Allows `per_minute` HTLCs a channel and minute; 0 allows any number.
    pub fn new(per_minute: u32) -> Self {
        let per_minute = (per_minute > 0).then(|| f64::from(per_minute));
        Self { per_minute, buckets: HashMap::new() }
    }

    /// Takes an HTLC of a channel into account; returns whether it is allowed.
    pub fn take(&mut self, channel_id: &ChannelId, now: Instant) -> bool {
        let Some(per_minute) = self.per_minute else { return true };
        if !self.buckets.contains_key(channel_id) {
            // A bucket that has been left alone for a minute is full, like a new one.
            self.buckets.retain(|_, bucket| now.duration_since(bucket.at) < MINUTE);
        }
        let full = || Bucket { tokens: per_minute, at: now };
        let bucket = self.buckets.entry(*channel_id).or_insert_with(full);
        let minutes = now.duration_since(bucket.at).as_secs_f64() / MINUTE.as_secs_f64();
        bucket.tokens = (bucket.tokens + minutes * per_minute).min(per_minute);
        bucket.at = now;
        let is_allowed = bucket.tokens >= 1.0;
        if is_allowed {
            bucket.tokens -= 1.0;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(buckets: &mut Buckets, channel: u8, count: usize, now: Instant) -> usize {
        (0..count).filter(|_| buckets.take(&ChannelId([channel; 32]), now)).count()
    }

    #[test]
    fn each_channel_gets_its_minutes_worth_and_then_a_steady_rate() {
        let mut buckets = Buckets::new(60);
        let began = Instant::now();
        assert_eq!(allowed(&mut buckets, 1, 100, began), 60);
        assert_eq!(allowed(&mut buckets, 2, 100, began), 60);
        assert_eq!(allowed(&mut buckets, 1, 100, began + Duration::from_secs(10)), 10);
        assert_eq!(allowed(&mut buckets, 1, 100, began + 10 * MINUTE), 60);
    }

    #[test]
    fn buckets_of_quiet_channels_are_forgotten() {
        let mut buckets = Buckets::new(60);
        let began = Instant::now();
        for channel in 0..100 {
            allowed(&mut buckets, channel, 1, began);
        }
        allowed(&mut buckets, 200, 1, began + MINUTE);
        assert_eq!(buckets.buckets.len(), 1);
    }

    #[test]
    fn zero_allows_any_number() {
        assert_eq!(allowed(&mut Buckets::new(0), 1, 1_000, Instant::now()), 1_000);
    }
}
