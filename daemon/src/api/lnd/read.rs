//! Fields of lnd's requests: signed amounts, hashes in two forms, outpoints, feerates.

use std::str::FromStr as _;

use bitcoin::hashes::Hash as _;
use bitcoin::hex::FromHex as _;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Address, FeeRate, Network, OutPoint, Txid};
use fulmen_lnd_proto::lnrpc;
use fulmen_lnd_proto::lnrpc::ChannelPoint;
use fulmen_lnd_proto::lnrpc::channel_point::FundingTxid;
use tonic::Status;

use super::refusal::refused;
use crate::api::v1::wallet::above_minimum;
use crate::feerates::Feerates;
use crate::wallet::CoinChoice;

/// All bitcoin that can exist, in satoshis.
pub const MAX_MONEY_SAT: u64 = 21_000_000 * 100_000_000;
/// A higher feerate is a slip of the keyboard, in satoshis per virtual byte.
const MAX_SAT_PER_VBYTE: u64 = 10_000;
/// The horizon of a transaction for which the caller names none, in blocks: lnd's default.
const DEFAULT_TARGET: u16 = 6;

/// Reads an amount that is given in satoshis or in millisatoshis; none where both are 0.
///
/// # Errors
/// Both are given, one is negative, or it is more than all bitcoin.
pub fn amount_msat(sat: i64, msat: i64) -> Result<Option<u64>, Status> {
    if sat != 0 && msat != 0 {
        return Err(refused("sat and msat arguments are mutually exclusive"));
    }
    let (Ok(sat), Ok(msat)) = (u64::try_from(sat), u64::try_from(msat)) else {
        return Err(refused("amount cannot be negative"));
    };
    match sat.saturating_mul(1_000).max(msat) {
        0 => Ok(None),
        msat if msat > MAX_MONEY_SAT * 1_000 => Err(refused("amount is more than all bitcoin")),
        msat => Ok(Some(msat)),
    }
}

/// Reads a limit: as [`amount_msat`], but anything above all bitcoin is no limit.
///
/// # Errors
/// Both are given, or one is negative.
pub fn limit_msat(sat: i64, msat: i64) -> Result<u64, Status> {
    if sat != 0 && msat != 0 {
        return Err(refused("sat and msat arguments are mutually exclusive"));
    }
    let (Ok(sat), Ok(msat)) = (u64::try_from(sat), u64::try_from(msat)) else {
        return Err(refused("amount cannot be negative"));
    };
    Ok(sat.saturating_mul(1_000).max(msat).min(MAX_MONEY_SAT * 1_000))
}

/// Reads an on-chain amount.
///
/// # Errors
/// It is not positive, or more than all bitcoin.
pub fn amount_sat(sat: i64) -> Result<u64, Status> {
    match u64::try_from(sat) {
        Ok(sat @ 1..=MAX_MONEY_SAT) => Ok(sat),
        _ => Err(refused(format!("{sat} sat is not an amount that can be sent"))),
    }
}

/// Reads 32 bytes.
///
/// # Errors
/// It has another length.
pub fn hash(bytes: &[u8]) -> Result<[u8; 32], Status> {
    bytes
        .try_into()
        .map_err(|_| refused(format!("invalid hash length of {}, want 32", bytes.len())))
}

/// Reads 32 bytes in hex.
///
/// # Errors
/// It is no hex, or has another length.
pub fn hash_hex(text: &str) -> Result<[u8; 32], Status> {
    let bytes = Vec::<u8>::from_hex(text).map_err(|error| refused(error.to_string()))?;
    hash(&bytes)
}

/// Reads a node's key.
///
/// # Errors
/// It is no point of the curve.
pub fn node_id(bytes: &[u8]) -> Result<PublicKey, Status> {
    PublicKey::from_slice(bytes).map_err(|error| refused(format!("invalid public key: {error}")))
}

/// Reads a node's key in hex.
///
/// # Errors
/// It is no point of the curve.
pub fn node_id_hex(text: &str) -> Result<PublicKey, Status> {
    PublicKey::from_str(text).map_err(|error| refused(format!("invalid public key: {error}")))
}

/// Reads a funding output.
///
/// # Errors
/// It is missing or malformed.
pub fn channel_point(point: Option<ChannelPoint>) -> Result<OutPoint, Status> {
    let point = point.ok_or_else(|| refused("must specify channel point"))?;
    let txid = match point.funding_txid {
        // Bytes are in the order of the wire, text in the order that people read.
        Some(FundingTxid::FundingTxidBytes(bytes)) => Txid::from_byte_array(hash(&bytes)?),
        Some(FundingTxid::FundingTxidStr(text)) => {
            Txid::from_str(&text).map_err(|error| refused(error.to_string()))?
        }
        None => return Err(refused("must specify channel point")),
    };
    Ok(OutPoint { txid, vout: point.output_index })
}

/// Reads which coins may pay: all of `outpoints` and no others, or any with enough confirmations.
///
/// # Errors
/// An outpoint is malformed, or the number is negative.
pub fn coins(
    outpoints: Vec<lnrpc::OutPoint>,
    min_confs: i32,
    spend_unconfirmed: bool,
) -> Result<CoinChoice, Status> {
    let read = |outpoint: lnrpc::OutPoint| {
        let funding_txid = match outpoint.txid_str {
            text if text.is_empty() => FundingTxid::FundingTxidBytes(outpoint.txid_bytes),
            text => FundingTxid::FundingTxidStr(text),
        };
        let output_index = outpoint.output_index;
        channel_point(Some(ChannelPoint { funding_txid: Some(funding_txid), output_index }))
    };
    let least = u32::try_from(min_confs).map_err(|_| refused("min_confs must not be negative"))?;
    if spend_unconfirmed && least > 0 {
        return Err(refused("SpendUnconfirmed set to true with MinConfs > 0"));
    }
    let only = outpoints.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(CoinChoice { only, min_confirmations: least })
}

/// Reads an address of a network.
///
/// # Errors
/// It is none, or of another network.
pub fn address(text: &str, network: Network) -> Result<Address, Status> {
    let address = Address::from_str(text.trim())
        .map_err(|error| refused(format!("unable to decode address: {error}")))?;
    address
        .require_network(network)
        .map_err(|_| refused(format!("address: {text} is not valid for this network")))
}

/// Reads an outpoint as `txid:index`.
///
/// # Errors
/// It has another form.
pub fn outpoint(text: &str) -> Result<OutPoint, Status> {
    OutPoint::from_str(text).map_err(|_| refused("outpoint should be of the form txid:index"))
}

/// Reads the feerate of a transaction; none where the caller names neither a rate nor a horizon.
///
/// # Errors
/// Several are given, one is negative or absurd, or bitcoind's mempool would not take it.
pub fn feerate(
    feerates: &Feerates,
    sat_per_vbyte: u64,
    sat_per_byte: i64,
    target_conf: i32,
) -> Result<Option<FeeRate>, Status> {
    let old = u64::try_from(sat_per_byte).map_err(|_| refused("fee rate cannot be negative"))?;
    let target =
        u16::try_from(target_conf).map_err(|_| refused("target confirmations are out of range"))?;
    let rate = match (sat_per_vbyte, old) {
        (0, rate) | (rate, 0) => rate,
        _ => return Err(refused("only one of sat_per_vbyte and sat_per_byte can be set")),
    };
    match (rate, target) {
        (0, 0) => Ok(None),
        (0, target) => Ok(Some(feerates.feerate_for_wallet(target))),
        (_, 1..) => Err(refused("either target_conf or sat_per_vbyte can be set, not both")),
        (rate, 0) if rate > MAX_SAT_PER_VBYTE => Err(refused(format!(
            "{rate} sat/vbyte is absurd, at most {MAX_SAT_PER_VBYTE} is taken"
        ))),
        (rate, 0) => {
            let asked = FeeRate::from_sat_per_kwu(rate * 250);
            let minimum = feerates.snapshot().mempool_minimum;
            above_minimum(asked, minimum)
                .map(Some)
                .map_err(|words| refused(format!("the fee rate {words}")))
        }
    }
}

/// [`feerate`] with lnd's default horizon.
///
/// # Errors
/// As [`feerate`].
pub fn feerate_or_default(
    feerates: &Feerates,
    sat_per_vbyte: u64,
    sat_per_byte: i64,
    target_conf: i32,
) -> Result<FeeRate, Status> {
    let given = feerate(feerates, sat_per_vbyte, sat_per_byte, target_conf)?;
    Ok(given.unwrap_or_else(|| feerates.feerate_for_wallet(DEFAULT_TARGET)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_neither_overflow_nor_pass_when_they_make_no_sense() {
        assert_eq!(amount_msat(0, 0).expect("nothing"), None);
        assert_eq!(amount_msat(5, 0).expect("fine"), Some(5_000));
        assert_eq!(amount_msat(0, 5).expect("fine"), Some(5));
        for (sat, msat, words) in [
            (1, 1, "sat and msat arguments are mutually exclusive"),
            (-1, 0, "amount cannot be negative"),
            (0, i64::MIN, "amount cannot be negative"),
            (i64::MAX, 0, "amount is more than all bitcoin"),
            (0, i64::MAX, "amount is more than all bitcoin"),
        ] {
            assert_eq!(amount_msat(sat, msat).expect_err("refused").message(), words);
        }
        // What npm's clients send where the user gives no limit.
        let all_msat = MAX_MONEY_SAT * 1_000;
        assert_eq!(limit_msat(9_007_199_254_740_991, 0).expect("no limit"), all_msat);
        assert_eq!(limit_msat(0, 7).expect("fine"), 7);
        assert!(limit_msat(1, 1).is_err() && limit_msat(-1, 0).is_err());
        assert!(amount_sat(0).is_err() && amount_sat(-1).is_err() && amount_sat(i64::MAX).is_err());
    }

    #[test]
    fn a_channel_point_is_read_from_bytes_and_from_text_alike() {
        let text = "0100000000000000000000000000000000000000000000000000000000000002";
        let point =
            |funding_txid| ChannelPoint { funding_txid: Some(funding_txid), output_index: 3 };
        let mut bytes = vec![0; 32];
        (bytes[0], bytes[31]) = (2, 1);
        let read = channel_point(Some(point(FundingTxid::FundingTxidStr(text.to_owned()))));
        let read = read.expect("well-formed");
        assert_eq!(read.to_string(), format!("{text}:3"));
        let same = channel_point(Some(point(FundingTxid::FundingTxidBytes(bytes))));
        assert_eq!(same.expect("well-formed"), read);
        assert_eq!(outpoint(&format!("{text}:3")).expect("well-formed"), read);
        let short = channel_point(Some(point(FundingTxid::FundingTxidBytes(vec![1; 31]))));
        let words = "invalid hash length of 31, want 32";
        assert_eq!(short.expect_err("too short").message(), words);
        assert!(channel_point(None).is_err());
    }
}
