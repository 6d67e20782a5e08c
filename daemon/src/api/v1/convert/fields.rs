//! Fields that several services read: ids, amounts, feerates, pages.

use std::str::FromStr as _;

use bitcoin::address::NetworkUnchecked;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Address, FeeRate, Network, OutPoint, Txid};
use fulmen_proto::v1;
use lightning::ln::types::ChannelId;
use lightning::types::payment::PaymentHash;
use tonic::Status;

use crate::api::status::malformed;
use crate::channels::ChannelRef;

/// All bitcoin that can exist.
pub const MAX_MONEY_SAT: u64 = 21_000_000 * 100_000_000;
/// The longest idempotency key, in bytes.
pub const MAX_KEY_BYTES: usize = 64;
/// The longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
/// The largest page of a list.
pub const MAX_PAGE_SIZE: u32 = 1_000;
/// The page of a caller who does not ask for a size.
pub const DEFAULT_PAGE_SIZE: u32 = 100;
/// A higher feerate is a slip of the keyboard: 10,000 sat/vB.
pub const MAX_FEERATE_MSAT_PER_VB: u64 = 10_000_000;

/// A page of a list, as asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// At most this many entries, at least 1.
    pub limit: usize,
    /// Where the page before ended; empty for the first page.
    pub token: Vec<u8>,
}

/// Reads a page request; none is the first page of the default size.
pub fn page(request: Option<v1::PageRequest>) -> Result<Page, Status> {
    let request = request.unwrap_or_default();
    let size = match request.page_size {
        0 => DEFAULT_PAGE_SIZE,
        size if size > MAX_PAGE_SIZE => {
            return Err(malformed("page_size", format!("{size} is more than {MAX_PAGE_SIZE}")));
        }
        size => size,
    };
    if request.page_token.len() > 256 {
        return Err(malformed("page_token", "is not a token of this daemon"));
    }
    Ok(Page { limit: size as usize, token: request.page_token })
}

/// Reads the page request of a list that had no pages once: without one, the page is as large as one can be.
pub fn page_or_all(request: Option<v1::PageRequest>) -> Result<Page, Status> {
    let all = v1::PageRequest { page_size: MAX_PAGE_SIZE, page_token: Vec::new() };
    page(Some(request.unwrap_or(all)))
}

/// Where a stream of numbered entries starts and ends.
pub struct Start {
    /// What the request calls `after`.
    pub argument: &'static str,
    /// The number of the last entry that was seen.
    pub after: u64,
    /// Start with what comes from now on.
    pub from_now: bool,
    /// End at what is there now.
    pub until_now: bool,
}

impl Start {
    /// Returns the number after which the stream starts, and the last one, where the newest entry has the number `now`.
    pub fn of(&self, now: u64) -> Result<(u64, Option<u64>), Status> {
        if self.from_now && self.until_now {
            return Err(malformed(
                "until_now",
                "is set together with from_now: no entry would be sent",
            ));
        }
        if !self.from_now && self.after > now {
            let after = self.after;
            return Err(malformed(
                self.argument,
                format!("{after} has not happened yet; the last is {now}"),
            ));
        }
        Ok((if self.from_now { now } else { self.after }, self.until_now.then_some(now)))
    }
}

/// Reads 32 bytes.
pub fn bytes32(argument: &'static str, bytes: &[u8]) -> Result<[u8; 32], Status> {
    bytes.try_into().map_err(|_| malformed(argument, expected("32 bytes", bytes)))
}

/// Reads a node id: a compressed public key of 33 bytes.
pub fn node_id(argument: &'static str, bytes: &[u8]) -> Result<PublicKey, Status> {
    if bytes.len() != 33 {
        return Err(malformed(argument, expected("33 bytes", bytes)));
    }
    PublicKey::from_slice(bytes).map_err(|_| malformed(argument, "is not a point of secp256k1"))
}

/// Reads a node id that may be left out.
pub fn optional_node_id(argument: &'static str, bytes: &[u8]) -> Result<Option<PublicKey>, Status> {
    match bytes {
        [] => Ok(None),
        bytes => node_id(argument, bytes).map(Some),
    }
}

/// Reads a payment hash.
pub fn payment_hash(argument: &'static str, bytes: &[u8]) -> Result<PaymentHash, Status> {
    bytes32(argument, bytes).map(PaymentHash)
}

/// Reads a channel id.
pub fn channel_id(argument: &'static str, bytes: &[u8]) -> Result<ChannelId, Status> {
    bytes32(argument, bytes).map(ChannelId)
}

/// Reads a transaction id in the order of the wire.
pub fn txid(argument: &'static str, bytes: &[u8]) -> Result<Txid, Status> {
    bytes32(argument, bytes).map(Txid::from_byte_array)
}

/// Reads a reference to a channel.
pub fn channel_ref(
    argument: &'static str,
    reference: Option<v1::ChannelRef>,
) -> Result<ChannelRef, Status> {
    use v1::channel_ref::By;
    match reference.and_then(|reference| reference.by) {
        None => Err(malformed(argument, "an id, a short id or a funding output is needed")),
        Some(By::ChannelId(id)) => channel_id("channel_id", &id).map(ChannelRef::Id),
        Some(By::ShortChannelId(0)) => Err(malformed("short_channel_id", "is 0")),
        Some(By::ShortChannelId(short)) => Ok(ChannelRef::Short(short)),
        Some(By::Funding(funding)) => {
            let txid = txid("funding.txid", &funding.txid)?;
            Ok(ChannelRef::Funding(OutPoint { txid, vout: funding.vout }))
        }
    }
}

/// Reads an amount that can exist and is not 0.
pub fn amount_sat(argument: &'static str, sat: u64) -> Result<u64, Status> {
    match sat {
        0 => Err(malformed(argument, "must be more than 0")),
        sat if sat > MAX_MONEY_SAT => Err(malformed(argument, "is more than all bitcoin")),
        sat => Ok(sat),
    }
}

/// Reads an amount in millisatoshis that can exist; 0 is none.
pub fn optional_amount_msat(argument: &'static str, msat: u64) -> Result<Option<u64>, Status> {
    match msat {
        0 => Ok(None),
        msat if msat > MAX_MONEY_SAT * 1_000 => {
            Err(malformed(argument, "is more than all bitcoin"))
        }
        msat => Ok(Some(msat)),
    }
}

/// Reads a feerate in thousandths of a satoshi per virtual byte; 0 is none. Rounds up.
pub fn feerate(argument: &'static str, msat_per_vb: u64) -> Result<Option<FeeRate>, Status> {
    match msat_per_vb {
        0 => Ok(None),
        rate if rate > MAX_FEERATE_MSAT_PER_VB => Err(malformed(
            argument,
            format!("{} sat/vB is absurd; at most 10,000 sat/vB are taken", rate / 1_000),
        )),
        // 1 vB is 4 weight units and 1 sat is 1,000 msat: 1 msat/vB is a quarter of 1 sat/kwu.
        rate => Ok(Some(FeeRate::from_sat_per_kwu(rate.div_ceil(4)))),
    }
}

/// Reads an address of this network.
pub fn address(argument: &'static str, text: &str, network: Network) -> Result<Address, Status> {
    if text.len() > 256 {
        return Err(malformed(argument, "is too long for an address"));
    }
    let address = Address::<NetworkUnchecked>::from_str(text.trim())
        .map_err(|error| malformed(argument, format!("is not a bitcoin address: {error}")))?;
    address
        .require_network(network)
        .map_err(|_| malformed(argument, format!("is not an address of {network}")))
}

/// Reads an address of a peer (host:port) of bounded length; empty is none.
pub fn peer_address(text: &str) -> Result<Option<&str>, Status> {
    match text.len() {
        0 => Ok(None),
        1..=300 => Ok(Some(text)),
        _ => Err(malformed("address", "is too long for host:port")),
    }
}

/// Reads a key under which a repeated call is the same call; empty is none.
pub fn idempotency_key(key: String) -> Result<Option<String>, Status> {
    match key.len() {
        0 => Ok(None),
        1..=MAX_KEY_BYTES => Ok(Some(key)),
        length => Err(malformed(
            "idempotency_key",
            format!("has {length} bytes, at most {MAX_KEY_BYTES} are taken"),
        )),
    }
}

/// Reads a label of bounded length.
pub fn label(label: String) -> Result<String, Status> {
    match label.len() {
        0..=MAX_LABEL_BYTES => Ok(label),
        length => Err(malformed(
            "label",
            format!("has {length} bytes, at most {MAX_LABEL_BYTES} are taken"),
        )),
    }
}

fn expected(what: &str, bytes: &[u8]) -> String {
    format!("{what} are expected, {} came", bytes.len())
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn says(result: Result<impl std::fmt::Debug, Status>) -> String {
        let status = result.expect_err("must be refused");
        assert_eq!(status.code(), Code::InvalidArgument);
        status.message().to_owned()
    }

    #[test]
    fn pages_have_a_default_and_a_ceiling() {
        assert_eq!(page(None).expect("none is fine").limit, 100);
        let of = |page_size| page(Some(v1::PageRequest { page_size, page_token: vec![7] }));
        assert_eq!(of(3).expect("fine"), Page { limit: 3, token: vec![7] });
        assert_eq!(of(1_000).expect("fine").limit, 1_000);
        assert_eq!(says(of(1_001)), "page_size: 1001 is more than 1000");
    }

    #[test]
    fn a_stream_starts_after_what_was_seen_or_now() {
        let start = |after, from_now, until_now| {
            Start { argument: "after_index", after, from_now, until_now }.of(5)
        };
        assert_eq!(start(3, false, false).expect("fine"), (3, None));
        assert_eq!(start(3, true, false).expect("fine"), (5, None));
        assert_eq!(start(0, false, true).expect("fine"), (0, Some(5)));
        assert!(says(start(6, false, false)).starts_with("after_index: 6 has not happened yet"));
        assert!(says(start(0, true, true)).contains("no entry would be sent"));
    }

    #[test]
    fn ids_of_the_wrong_length_or_off_the_curve_are_refused_by_name() {
        assert_eq!(says(node_id("node_id", &[2; 32])), "node_id: 33 bytes are expected, 32 came");
        assert_eq!(says(node_id("payee", &[9; 33])), "payee: is not a point of secp256k1");
        assert_eq!(
            says(payment_hash("payment_hash", &[])),
            "payment_hash: 32 bytes are expected, 0 came"
        );
        assert_eq!(optional_node_id("node_id", &[]).expect("may be left out"), None);
    }

    #[test]
    fn feerates_round_up_and_absurd_ones_are_refused() {
        assert_eq!(feerate("feerate", 0).expect("none"), None);
        let of = |rate| feerate("feerate", rate).expect("fine").expect("given").to_sat_per_kwu();
        assert_eq!((of(1_000), of(1_001), of(1), of(10_000_000)), (250, 251, 1, 2_500_000));
        assert!(says(feerate("feerate", 10_000_001)).contains("absurd"));
    }

    #[test]
    fn amounts_are_more_than_nothing_and_at_most_everything() {
        assert_eq!(amount_sat("amount_sat", MAX_MONEY_SAT).expect("fine"), MAX_MONEY_SAT);
        assert!(says(amount_sat("amount_sat", 0)).contains("more than 0"));
        assert!(says(amount_sat("amount_sat", u64::MAX)).contains("more than all bitcoin"));
        assert!(says(optional_amount_msat("amount_msat", u64::MAX)).contains("amount_msat"));
    }

    #[test]
    fn an_address_belongs_to_the_network() {
        let main = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        assert!(address("address", main, Network::Bitcoin).is_ok());
        assert!(says(address("address", main, Network::Regtest)).contains("regtest"));
        assert!(
            says(address("address", "nonsense", Network::Bitcoin))
                .contains("not a bitcoin address")
        );
    }

    #[test]
    fn a_channel_is_named_in_one_of_three_ways() {
        use v1::channel_ref::By;
        let read = |by| channel_ref("channel", Some(v1::ChannelRef { by: Some(by) }));
        assert!(matches!(read(By::ChannelId(vec![1; 32])), Ok(ChannelRef::Id(_))));
        assert!(matches!(read(By::ShortChannelId(5)), Ok(ChannelRef::Short(5))));
        assert!(says(read(By::ShortChannelId(0))).contains("short_channel_id"));
        assert!(says(channel_ref("channel", None)).starts_with("channel: "));
    }
}
