//! Balances on the wire.

use fulmen_proto::v1;
use fulmen_proto::v1::closing_balance::Kind;

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
        in_flight_outbound_msat: balances.in_flight_outbound_msat,
        in_flight_inbound_msat: balances.in_flight_inbound_msat,
        total_msat: balances.total_msat,
        closing_sat: balances.closing.sure_sat,
        closing: balances.closing.balances.iter().map(closing).collect(),
    }
}

fn closing(balance: &ClosingBalance) -> v1::ClosingBalance {
    v1::ClosingBalance {
        channel_id: balance.channel_id.map(|id| id.0.to_vec()).unwrap_or_default(),
        amount_sat: balance.amount_sat,
        kind: kind(balance.kind).into(),
        claimable_height: balance.claimable_height,
    }
}

fn kind(kind: ClosingKind) -> Kind {
    match kind {
        ClosingKind::AwaitingConfirmations => Kind::AwaitingConfirmations,
        ClosingKind::Timelocked => Kind::Timelocked,
        ClosingKind::ContentiousHtlc => Kind::ContentiousHtlc,
        ClosingKind::MaybeTimeoutHtlc => Kind::MaybeTimeoutHtlc,
        ClosingKind::MaybePreimageHtlc => Kind::MaybePreimageHtlc,
        ClosingKind::CounterpartyRevoked => Kind::CounterpartyRevoked,
        ClosingKind::Sweeping => Kind::Sweeping,
    }
}
