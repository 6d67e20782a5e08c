//! The options that bound what a payment may cost, take, and lock.
use clap::Args;
use fulmen_proto::v1::PaymentLimits;

use crate::amount::Msat;
use crate::units::Span;

/// Bounds of a route.
#[derive(Debug, Args)]
pub struct Bounds {
    /// Fail rather than pay more than this in fees: 10sat [default: as configured]
    #[arg(long, value_name = "AMOUNT")]
    max_fee: Option<Msat>,
    /// Split into at most this many parts [default: as configured]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_parts: Option<u32>,
    /// Blocks that the money may be locked over the whole route [default: as configured]
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..))]
    max_cltv_delta: Option<u32>,
}

impl Bounds {
    pub fn wire(&self) -> PaymentLimits {
        PaymentLimits {
            max_fee_msat: self.max_fee_msat(),
            timeout_secs: 0,
            max_parts: self.max_parts.unwrap_or(0),
            max_total_cltv_delta: self.max_cltv_delta.unwrap_or(0),
        }
    }

    pub fn max_fee_msat(&self) -> Option<u64> {
        self.max_fee.map(|Msat(msat)| msat)
    }
}

/// Bounds of a payment.
#[derive(Debug, Args)]
pub struct Limits {
    #[command(flatten)]
    pub bounds: Bounds,
    /// Make no new attempts after this time: 60s [default: as configured]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
}

impl Limits {
    pub fn wire(&self) -> PaymentLimits {
        let timeout_secs = self.timeout.map_or(0, |timeout| timeout.secs);
        PaymentLimits { timeout_secs, ..self.bounds.wire() }
    }
}
