//! How channels are opened, accepted and priced, as operators set it and as LDK wants it.

use std::time::Duration;

use bitcoin::Network;
use lightning::util::config::{
    ChannelConfig, ChannelConfigOverrides, ChannelHandshakeConfig, ChannelHandshakeConfigUpdate,
    ChannelHandshakeLimits, MaxDustHTLCExposure, UserConfig,
};
use serde::{Deserialize, Serialize};

use crate::node::negotiation::closes::{ClosePolicy, UNBOUNDED_AVOIDANCE_SAT};

/// Below this LDK could lose an HTLC that is claimed on chain: its `MIN_CLTV_EXPIRY_DELTA`.
pub const MIN_CLTV_EXPIRY_DELTA: u16 = 48;
/// Beyond this no sender's limit for a whole path leaves room for other hops.
pub const MAX_CLTV_EXPIRY_DELTA: u16 = 2016;
/// BOLT 2: at most this many HTLCs fit into a commitment transaction, offered by each side.
const MAX_ACCEPTED_HTLCS: u16 = 483;
/// LDK's own limit of a peer's channels that are not confirmed yet.
pub const MAX_PENDING_PER_PEER: usize = 4;
/// The capacity from which on confirmations and delays are at their most (2^24 - 1 satoshis).
const SCALE_TOP_SAT: u64 = 16_777_215;

/// Section `[channels]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Smaller channels, in satoshis, are neither opened nor accepted.
    pub min_capacity_sat: u64,
    /// Larger channels, in satoshis, are neither opened nor accepted.
    pub max_capacity_sat: u64,
    /// Whether others may open channels to us.
    pub accept_inbound: bool,
    /// Channels that one peer may have pending at once; at most 4.
    pub max_pending_per_peer: usize,
    /// Whether an inbound channel is refused while the wallet could not bump its commitment.
    pub inbound_needs_anchor_reserve: bool,
    /// Confirmations before an inbound channel is used; 0 for 3 to 6 by capacity (1 on regtest).
    pub confirmations: u32,
    /// Blocks that the peer's money is locked after its force close, for the smallest channels.
    pub min_to_self_delay_blocks: u16,
    /// The same for the largest channels; between the two it grows with capacity.
    pub max_to_self_delay_blocks: u16,
    /// What new channels charge for each forward, in millisatoshis.
    pub base_fee_msat: u32,
    /// What new channels charge in millionths of the forwarded amount.
    pub proportional_millionths: u32,
    /// Blocks between the deadlines of an incoming and its outgoing HTLC; at least 48.
    pub cltv_expiry_delta: u16,
    /// The smallest HTLC that we take in, in millisatoshis.
    pub htlc_minimum_msat: u64,
    /// Most of a channel's HTLCs that are too small for an output of their own, in satoshis: if the
    /// channel is force-closed with them in flight, that much goes to miners.
    pub max_dust_exposure_sat: u64,
    /// How much of a public channel may be in flight towards us, in percent.
    pub max_in_flight_percent_public: u8,
    /// How much of a private channel may be in flight towards us, in percent.
    pub max_in_flight_percent_private: u8,
    /// HTLCs that may be in flight towards us on a channel; at most 483.
    pub max_accepted_htlcs: u16,
    /// What the peer must keep on its side of a channel, in millionths of the capacity.
    pub reserve_millionths: u32,
    /// Whether payments are forwarded to peers with which we have only private channels.
    pub forward_to_private: bool,
    /// Whether the address of a cooperative close is fixed when the channel is opened; nobody who
    /// takes over this daemon can then send the money elsewhere, and neither can its operator.
    pub fix_close_address: bool,
    /// What may be paid beyond the estimate to close in agreement, in satoshis; in any case as much as a forced close
    /// would cost.
    pub force_close_avoidance_max_fee_sat: u64,
    /// Blocks in which a closing transaction should confirm when the caller gives no feerate.
    pub close_target_blocks: u16,
    /// Blocks in which a funding transaction should confirm when the caller gives no feerate.
    pub open_target_blocks: u16,
    /// Seconds in which another wallet has to fund a channel that was opened with --psbt; at most 3000, since LDK gives
    /// up an unfunded channel after an hour.
    pub psbt_funding_timeout_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_capacity_sat: 20_000,
            max_capacity_sat: 1_000_000_000,
            accept_inbound: true,
            max_pending_per_peer: 2,
            inbound_needs_anchor_reserve: true,
            confirmations: 0,
            min_to_self_delay_blocks: 144,
            max_to_self_delay_blocks: 1_008,
            base_fee_msat: 1_000,
            proportional_millionths: 100,
            cltv_expiry_delta: 72,
            htlc_minimum_msat: 1,
            max_dust_exposure_sat: 100_000,
            max_in_flight_percent_public: 45,
            max_in_flight_percent_private: 100,
            max_accepted_htlcs: MAX_ACCEPTED_HTLCS,
            reserve_millionths: 10_000,
            forward_to_private: true,
            fix_close_address: false,
            force_close_avoidance_max_fee_sat: 1_000,
            close_target_blocks: 12,
            open_target_blocks: 6,
            psbt_funding_timeout_secs: 1_200,
        }
    }
}

impl Config {
    /// Returns what is wrong with this section, each with the option's name.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, option: &str, why: String| {
            if wrong {
                problems.push(format!("channels.{option}: {why}"));
            }
        };
        refuse(
            self.min_capacity_sat < 1_000,
            "min_capacity_sat",
            format!("{} is below LDK's minimum of 1000", self.min_capacity_sat),
        );
        refuse(
            self.max_capacity_sat < self.min_capacity_sat,
            "max_capacity_sat",
            format!("{} is below min_capacity_sat", self.max_capacity_sat),
        );
        refuse(
            !(MIN_CLTV_EXPIRY_DELTA..=MAX_CLTV_EXPIRY_DELTA).contains(&self.cltv_expiry_delta),
            "cltv_expiry_delta",
            format!(
                "{} is not between {MIN_CLTV_EXPIRY_DELTA} and {MAX_CLTV_EXPIRY_DELTA}",
                self.cltv_expiry_delta
            ),
        );
        refuse(
            self.min_to_self_delay_blocks == 0,
            "min_to_self_delay_blocks",
            "must be at least 1".to_owned(),
        );
        refuse(
            self.max_to_self_delay_blocks < self.min_to_self_delay_blocks
                || self.max_to_self_delay_blocks > 2_016,
            "max_to_self_delay_blocks",
            "is not between min_to_self_delay_blocks and 2016".to_owned(),
        );
        refuse(
            !(1..=MAX_ACCEPTED_HTLCS).contains(&self.max_accepted_htlcs),
            "max_accepted_htlcs",
            format!("{} is not between 1 and {MAX_ACCEPTED_HTLCS}", self.max_accepted_htlcs),
        );
        refuse(
            self.confirmations > 144,
            "confirmations",
            format!("{} is more than any peer waits for (144)", self.confirmations),
        );
        refuse(
            self.reserve_millionths > 300_000,
            "reserve_millionths",
            format!("{} is more than any peer takes (300000)", self.reserve_millionths),
        );
        refuse(self.open_target_blocks == 0, "open_target_blocks", "must be at least 1".to_owned());
        refuse(
            self.close_target_blocks == 0,
            "close_target_blocks",
            "must be at least 1".to_owned(),
        );
        refuse(
            self.max_pending_per_peer > MAX_PENDING_PER_PEER,
            "max_pending_per_peer",
            format!(
                "{} is more than the {MAX_PENDING_PER_PEER} that LDK takes of one peer",
                self.max_pending_per_peer
            ),
        );
        refuse(
            !(1..=3_000).contains(&self.psbt_funding_timeout_secs),
            "psbt_funding_timeout_secs",
            format!("{} is not between 1 and 3000", self.psbt_funding_timeout_secs),
        );
        for (option, percent) in [
            ("max_in_flight_percent_public", self.max_in_flight_percent_public),
            ("max_in_flight_percent_private", self.max_in_flight_percent_private),
        ] {
            refuse(
                !(1..=100).contains(&percent),
                option,
                format!("{percent} is not between 1 and 100"),
            );
        }
        problems
    }

    /// Returns LDK's configuration for a private channel of the least capacity; what depends on the
    /// single channel is set over it by [`Config::for_outbound`] and [`Config::for_inbound`].
    pub fn user_config(&self, network: Network) -> UserConfig {
        UserConfig {
            channel_handshake_config: ChannelHandshakeConfig {
                minimum_depth: self.confirmations_for(0, network),
                our_to_self_delay: self.to_self_delay_for(0),
                our_htlc_minimum_msat: self.htlc_minimum_msat,
                max_inbound_htlc_value_in_flight_percent_of_channel: self
                    .max_in_flight_percent_private,
                // For private channels only: peers then never learn where they are funded.
                negotiate_scid_privacy: true,
                announce_for_forwarding: false,
                commit_upfront_shutdown_pubkey: self.fix_close_address,
                their_channel_reserve_proportional_millionths: self.reserve_millionths,
                negotiate_anchors_zero_fee_htlc_tx: true,
                our_max_accepted_htlcs: self.max_accepted_htlcs,
                ..ChannelHandshakeConfig::default()
            },
            channel_handshake_limits: ChannelHandshakeLimits {
                min_funding_satoshis: self.min_capacity_sat,
                max_funding_satoshis: self.max_capacity_sat,
                // The policy in `accept` decides, for public and for private channels.
                force_announced_channel_preference: false,
                ..ChannelHandshakeLimits::default()
            },
            channel_config: ChannelConfig {
                forwarding_fee_base_msat: self.base_fee_msat,
                forwarding_fee_proportional_millionths: self.proportional_millionths,
                cltv_expiry_delta: self.cltv_expiry_delta,
                max_dust_htlc_exposure: MaxDustHTLCExposure::FixedLimitMsat(
                    self.max_dust_exposure_sat.saturating_mul(1_000),
                ),
                // `node::negotiation::closes` knows the true bound.
                force_close_avoidance_max_fee_satoshis: UNBOUNDED_AVOIDANCE_SAT,
                accept_underpaying_htlcs: false,
            },
            accept_forwards_to_priv_channels: self.forward_to_private,
            accept_inbound_channels: true,
            manually_accept_inbound_channels: true,
            // An invoice is recorded before LDK pays it.
            manually_handle_bolt12_invoices: true,
            ..UserConfig::default()
        }
    }

    /// Returns LDK's configuration for a channel that we open.
    pub fn for_outbound(&self, capacity_sat: u64, announce: bool, network: Network) -> UserConfig {
        let mut config = self.user_config(network);
        let handshake = &mut config.channel_handshake_config;
        handshake.announce_for_forwarding = announce;
        handshake.our_to_self_delay = self.to_self_delay_for(capacity_sat);
        handshake.max_inbound_htlc_value_in_flight_percent_of_channel =
            self.max_in_flight_percent(announce);
        config
    }

    /// Returns what an inbound channel has of its own.
    pub fn for_inbound(
        &self,
        capacity_sat: u64,
        announced: bool,
        network: Network,
    ) -> ChannelConfigOverrides {
        ChannelConfigOverrides {
            handshake_overrides: Some(ChannelHandshakeConfigUpdate {
                minimum_depth: Some(self.confirmations_for(capacity_sat, network)),
                to_self_delay: Some(self.to_self_delay_for(capacity_sat)),
                max_inbound_htlc_value_in_flight_percent_of_channel: Some(
                    self.max_in_flight_percent(announced),
                ),
                ..ChannelHandshakeConfigUpdate::default()
            }),
            update_overrides: None,
        }
    }

    /// Returns how the fees of closes are negotiated.
    pub fn close_policy(&self) -> ClosePolicy {
        ClosePolicy {
            avoidance_sat: self.force_close_avoidance_max_fee_sat,
            target_blocks: self.close_target_blocks,
        }
    }

    /// Returns how long a funding from outside is waited for.
    pub fn outside_funding_timeout(&self) -> Duration {
        Duration::from_secs(self.psbt_funding_timeout_secs)
    }

    fn max_in_flight_percent(&self, announced: bool) -> u8 {
        match announced {
            true => self.max_in_flight_percent_public,
            false => self.max_in_flight_percent_private,
        }
    }

    /// The more a reorganisation could steal, the deeper the funding must be.
    fn confirmations_for(&self, capacity_sat: u64, network: Network) -> u32 {
        match (self.confirmations, network) {
            (0, Network::Regtest) => 1,
            (0, _) => 3 + scaled(capacity_sat, 3) as u32,
            (confirmations, _) => confirmations,
        }
    }

    /// The more a cheater could steal, the longer we have to notice.
    fn to_self_delay_for(&self, capacity_sat: u64) -> u16 {
        let span = self.max_to_self_delay_blocks.saturating_sub(self.min_to_self_delay_blocks);
        self.min_to_self_delay_blocks + scaled(capacity_sat, u64::from(span)) as u16
    }
}

/// Returns 0 for an empty channel up to `span` for one at the top of the scale, or beyond.
fn scaled(capacity_sat: u64, span: u64) -> u64 {
    span * capacity_sat.min(SCALE_TOP_SAT) / SCALE_TOP_SAT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_each_problem_names_its_option() {
        assert!(Config::default().problems().is_empty());
        let config = Config {
            cltv_expiry_delta: 47,
            max_capacity_sat: 10,
            max_accepted_htlcs: 484,
            max_in_flight_percent_public: 0,
            ..Config::default()
        };
        let problems = config.problems();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with("channels.")));
    }

    #[test]
    fn confirmations_and_delay_grow_with_capacity() {
        let config = Config::default();
        let table = [
            (20_000, 3, 145),
            (5_592_405, 4, 432),
            (11_184_810, 5, 720),
            (16_777_215, 6, 1_008),
            (1_000_000_000, 6, 1_008),
        ];
        for (capacity_sat, confirmations, delay) in table {
            assert_eq!(config.confirmations_for(capacity_sat, Network::Bitcoin), confirmations);
            assert_eq!(config.to_self_delay_for(capacity_sat), delay, "{capacity_sat} sat");
        }
        assert_eq!(config.confirmations_for(1_000_000_000, Network::Regtest), 1);
        let fixed = Config { confirmations: 2, ..Config::default() };
        assert_eq!(fixed.confirmations_for(1_000_000_000, Network::Regtest), 2);
    }

    #[test]
    fn ldk_is_told_what_differs_from_its_defaults() {
        let config = Config::default().user_config(Network::Bitcoin);
        assert!(config.manually_accept_inbound_channels && config.reject_inbound_splices);
        assert!(config.channel_handshake_config.negotiate_anchors_zero_fee_htlc_tx);
        assert!(!config.channel_handshake_limits.force_announced_channel_preference);
        assert_eq!(config.channel_handshake_config.our_max_accepted_htlcs, 483);
        assert_eq!(
            config.channel_config.max_dust_htlc_exposure,
            MaxDustHTLCExposure::FixedLimitMsat(100_000_000)
        );
    }

    #[test]
    fn a_public_channel_has_less_in_flight_than_a_private_one() {
        let percent = |announce| {
            let config = Config::default().for_outbound(100_000, announce, Network::Bitcoin);
            let handshake = config.channel_handshake_config;
            assert_eq!(handshake.announce_for_forwarding, announce);
            handshake.max_inbound_htlc_value_in_flight_percent_of_channel
        };
        assert_eq!((percent(true), percent(false)), (45, 100));
    }
}
