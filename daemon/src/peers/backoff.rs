//! How long to wait before the next attempt to reach a peer.

use std::time::Duration;

use super::Config;

/// Doubles with each failure up to the most; `chance` (0 to 255) takes up to a half away, so that
/// nodes that lost each other do not dial each other in step.
pub fn delay(config: &Config, failures: u32, chance: u8) -> Duration {
    let doubled = config.reconnect_min_secs.saturating_mul(1 << failures.min(32));
    let millis = doubled.min(config.reconnect_max_secs).saturating_mul(1_000);
    let taken = (millis / 2).saturating_mul(u64::from(chance)) / 255;
    Duration::from_millis(millis - taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_an_hour() {
        let config = Config::default();
        let table =
            [(0, 1), (1, 2), (5, 32), (11, 2_048), (12, 3_600), (40, 3_600), (u32::MAX, 3_600)];
        for (failures, seconds) in table {
            let whole = Duration::from_secs(seconds);
            assert_eq!(delay(&config, failures, 0), whole, "{failures} failures");
            assert_eq!(delay(&config, failures, 255), whole / 2, "{failures} failures");
        }
        let between = delay(&config, 0, 128);
        assert!(between > Duration::from_millis(500) && between < Duration::from_secs(1));
    }
}
