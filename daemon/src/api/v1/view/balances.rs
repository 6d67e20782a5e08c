//! Balances on the wire.

use fulmen_proto::v1;

use crate::usecases::balances::Balances;
use crate::usecases::closing::{ClosingBalance, ClosingKind};

/// Writes everything that the node owns.
pub fn balances(balances: &Balances) -> v1::GetBalancesResponse {
    v1::GetBalancesResponse {
        onchain_confirmed_sat: balances.onchain.confirmed_sat,
        onchain_unconfirmed_sat: balances.onchain.unconfirmed_sat,
        onchain_reserved_sat: balances.onchain.reserved_sat,
        channels_local_msat: balances.channels_local_msat,
        channels_remote_msat: balances.channels_remote_msat,
        outbound_capacity_msat: balances.outbound_capacity_msat,
        inbound_capacity_msat: balances.inbound_capacity_msat,
        closing_sat: balances.closing.sure_sat,
        closing: balances.closing.balances.iter().map(closing).collect(),
    }
}

fn closing(balance: &ClosingBalance) -> v1::ClosingBalance {
    v1::ClosingBalance {
        channel_id: balance.channel_id.map(|id| id.0.to_vec()).unwrap_or_default(),
        amount_sat: balance.amount_sat,
        kind: kind(balance.kind).to_owned(),
        claimable_height: balance.claimable_height,
    }
}

fn kind(kind: ClosingKind) -> &'static str {
    match kind {
        ClosingKind::AwaitingConfirmations => "awaiting_confirmations",
        ClosingKind::Timelocked => "timelocked",
        ClosingKind::ContentiousHtlc => "contentious_htlc",
        ClosingKind::MaybeTimeoutHtlc => "maybe_timeout_htlc",
        ClosingKind::MaybePreimageHtlc => "maybe_preimage_htlc",
        ClosingKind::CounterpartyRevoked => "counterparty_revoked",
        ClosingKind::Sweeping => "sweeping",
    }
}
