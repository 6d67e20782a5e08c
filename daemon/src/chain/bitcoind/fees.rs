//! Feerates from bitcoind, in sat per 1000 weight.

use std::sync::Arc;

use serde_json::json;

use super::answers;
use super::rpc::Rpc;
use crate::chain::{Error, EstimateMode};

pub(super) async fn estimate_sat_per_kw(
    rpc: &Arc<Rpc>,
    blocks: u16,
    mode: EstimateMode,
) -> Result<Option<u32>, Error> {
    let mode = match mode {
        EstimateMode::Economical => "ECONOMICAL",
        EstimateMode::Conservative => "CONSERVATIVE",
    };
    let params = vec![json!(blocks), json!(mode)];
    let answer = rpc.call::<answers::Estimate>("estimatesmartfee", params).await?;
    Ok(answer.feerate.and_then(sat_per_kw))
}

pub(super) async fn mempool_minimum_sat_per_kw(rpc: &Arc<Rpc>) -> Result<u32, Error> {
    let method = "getmempoolinfo";
    let answer = rpc.call::<answers::Mempool>(method, vec![]).await?;
    sat_per_kw(answer.mempoolminfee.max(answer.minrelaytxfee)).ok_or_else(|| Error::Garbled {
        method,
        reason: "its minimum feerate is not a feerate".to_owned(),
    })
}

/// Converts from bitcoin per 1000 vbytes, rounding up; nothing that is no feerate.
fn sat_per_kw(btc_per_kvb: f64) -> Option<u32> {
    /// 1 BTC/kvB = 100,000,000 sat / 4,000 weight units
    const SAT_PER_KW_IN_BTC_PER_KVB: f64 = 25_000_000.0;
    let sat_per_kw = (btc_per_kvb * SAT_PER_KW_IN_BTC_PER_KVB - 1e-6).ceil();
    let sane = sat_per_kw.is_finite() && (0.0..=f64::from(u32::MAX)).contains(&sat_per_kw.abs());
    // The range was checked, and a rounded-down negative zero is zero.
    (sane && btc_per_kvb >= 0.0).then_some(sat_per_kw.max(0.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feerates_are_converted_upwards() {
        for (btc_per_kvb, expected) in [
            (0.00001, Some(250)),
            (0.00001001, Some(251)),
            (0.000001, Some(25)),
            (0.0, Some(0)),
            (1.0, Some(25_000_000)),
            (-1.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(sat_per_kw(btc_per_kvb), expected, "{btc_per_kvb}");
        }
    }
}
