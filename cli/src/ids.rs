//! How nodes, channels, payments and transactions are named on the command line.
use std::str::FromStr;

use fulmen_proto::v1::{ChannelRef, OutPoint, channel_ref};

/// Decodes hexadecimal digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

/// A node's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeId(pub Vec<u8>);

impl FromStr for NodeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match unhex(text) {
            Some(bytes) if bytes.len() == 33 && matches!(bytes[0], 2 | 3) => Ok(Self(bytes)),
            _ => Err("a node id is 66 hex digits that begin with 02 or 03".to_owned()),
        }
    }
}

/// A node, and perhaps where it is: `NODE_ID` or `NODE_ID@HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAt {
    /// The node's public key.
    pub node_id: NodeId,
    /// `host:port`, or empty where it was not given.
    pub address: String,
}

impl FromStr for NodeAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('@') {
            None => Ok(Self { node_id: text.parse()?, address: String::new() }),
            Some((_, "")) => Err("there is no address after the @".to_owned()),
            Some((id, address)) => Ok(Self { node_id: id.parse()?, address: address.to_owned() }),
        }
    }
}

/// 32 bytes: a payment hash, a payment id, a preimage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id32(pub Vec<u8>);

impl FromStr for Id32 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match unhex(text) {
            Some(bytes) if bytes.len() == 32 => Ok(Self(bytes)),
            _ => Err("64 hex digits are expected".to_owned()),
        }
    }
}

/// An invoice of ours or a payment: by a 32-byte id or hash, or by the invoice's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOrBolt11 {
    /// 32 bytes.
    Hash(Vec<u8>),
    /// The text of an invoice.
    Bolt11(String),
}

impl FromStr for HashOrBolt11 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(Id32(hash)) = text.parse() {
            return Ok(Self::Hash(hash));
        }
        bolt11(text)
            .map(Self::Bolt11)
            .map_err(|_| "64 hex digits or the text of an invoice (lnbc…) are expected".to_owned())
    }
}

/// The text of a BOLT 11 invoice, without `lightning:` before it; the daemon reads the rest.
pub fn bolt11(text: &str) -> Result<String, String> {
    let text = text.trim();
    let scheme = "lightning:";
    let bare = match text.get(..scheme.len()) {
        Some(start) if start.eq_ignore_ascii_case(scheme) => &text[scheme.len()..],
        _ => text,
    };
    let begins = bare.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("ln"));
    if begins && bare.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(bare.to_owned());
    }
    Err("an invoice begins with ln (lnbc…, lntb…, lnbcrt…) and has letters and digits only".into())
}

/// Anything that can be paid: the daemon reads it.
pub fn payable(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err("an invoice, an offer, a URI, user@domain or a node id has no blanks".into());
    }
    Ok(text.to_owned())
}

/// The payee: a node, or the payee of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeOrBolt11 {
    /// A node.
    Node(NodeId),
    /// The text of an invoice.
    Bolt11(String),
}

impl FromStr for NodeOrBolt11 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self::Node).or_else(|_| bolt11(text).map(Self::Bolt11)).map_err(|_| {
            "a node id (66 hex digits) or the text of an invoice (lnbc…) is expected".to_owned()
        })
    }
}

/// A channel of the graph by its short id, or a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelOrNode {
    /// A channel.
    Channel(ShortChannelId),
    /// A node.
    Node(NodeId),
}

impl FromStr for ChannelOrNode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let channel = || text.parse().map(Self::Channel);
        text.parse().map(Self::Node).or_else(|_| channel()).map_err(|_| {
            "a short channel id (539x1x0) or a node id (66 hex digits) is expected".to_owned()
        })
    }
}

/// A short channel id: `BLOCKxTRANSACTIONxOUTPUT`, in BOLT 7's packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortChannelId(pub u64);

impl FromStr for ShortChannelId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a short channel id is BLOCKxTRANSACTIONxOUTPUT: 539268x845x1".to_owned();
        let parts: Vec<&str> = text.split('x').collect();
        let [block, transaction, output] = parts[..] else { return Err(wrong()) };
        let number = |part: &str, below: u64| match part.parse::<u64>() {
            Ok(n) if n < below && part.bytes().all(|b| b.is_ascii_digit()) => Ok(n),
            _ => Err(wrong()),
        };
        let (block, transaction) = (number(block, 1 << 24)?, number(transaction, 1 << 24)?);
        Ok(Self(block << 40 | transaction << 16 | number(output, 1 << 16)?))
    }
}

impl std::fmt::Display for ShortChannelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.0 >> 40, self.0 >> 16 & 0xff_ffff, self.0 & 0xffff)
    }
}

/// A channel by its 32-byte id, its short id, or its funding output `TXID:VOUT`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelName(pub ChannelRef);

impl FromStr for ChannelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use channel_ref::By;
        let by = if let Some((txid, vout)) = text.split_once(':') {
            By::Funding(outpoint(txid, vout)?)
        } else if let Ok(Id32(id)) = text.parse() {
            By::ChannelId(id)
        } else if let Ok(ShortChannelId(scid)) = text.parse() {
            By::ShortChannelId(scid)
        } else {
            return Err("a channel is named by its id (64 hex digits), its short id \
                        (539268x845x1) or its funding output (TXID:0)"
                .to_owned());
        };
        Ok(Self(ChannelRef { by: Some(by) }))
    }
}

/// An output of a transaction: `TXID:VOUT`.
#[derive(Debug, Clone, PartialEq)]
pub struct Coin(pub OutPoint);

impl FromStr for Coin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (txid, vout) = text.split_once(':').unwrap_or((text, ""));
        outpoint(txid, vout).map(Self).map_err(|_| {
            "a coin is TXID:VOUT, 64 hex digits and a number, as `fulmen wallet utxos` lists it"
                .to_owned()
        })
    }
}

/// A transaction by its id, as explorers print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxId(pub Vec<u8>);

impl FromStr for TxId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Id32(mut txid) =
            text.parse().map_err(|_| "a transaction id is 64 hex digits".to_owned())?;
        txid.reverse();
        Ok(Self(txid))
    }
}

/// Bytes in hexadecimal digits.
#[derive(Debug, Clone)]
pub struct Bytes(pub Vec<u8>);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = unhex(text.trim()).filter(|bytes| !bytes.is_empty());
        bytes.map(Self).ok_or_else(|| "hexadecimal digits are expected".to_owned())
    }
}

/// A txid as explorers print it is the reverse of the bytes on the wire.
fn outpoint(txid: &str, vout: &str) -> Result<OutPoint, String> {
    let wrong = || "a funding output is TXID:VOUT, 64 hex digits and a number".to_owned();
    let Id32(mut txid) = txid.parse().map_err(|_| wrong())?;
    txid.reverse();
    Ok(OutPoint { txid, vout: vout.parse().map_err(|_| wrong())? })
}

/// A custom record of a keysend: `TYPE=HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The TLV type; the daemon refuses those below 65,536.
    pub kind: u64,
    /// The value.
    pub value: Vec<u8>,
}

impl FromStr for Record {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a record is TYPE=HEX: 65537=c0ffee".to_owned();
        let (kind, value) = text.split_once('=').ok_or_else(wrong)?;
        let kind = kind.parse().map_err(|_| wrong())?;
        Ok(Self { kind, value: unhex(value).ok_or_else(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::channel_ref::By;
    use super::*;

    #[test]
    fn short_channel_ids_both_ways() {
        let largest = (1 << 24) - 1;
        let table = [
            ("0x0x0".to_owned(), 0),
            ("539x1x0".to_owned(), 539 << 40 | 1 << 16),
            ("539268x845x1".to_owned(), 539_268 << 40 | 845 << 16 | 1),
            (format!("{largest}x{largest}x65535"), u64::MAX),
        ];
        for (text, scid) in table {
            assert_eq!(text.parse(), Ok(ShortChannelId(scid)));
            assert_eq!(ShortChannelId(scid).to_string(), text);
        }
        for bad in
            ["", "1x2", "1x2x3x4", "16777216x0x0", "0x16777216x0", "0x0x65536", "ax1x1", "+1x1x1"]
        {
            assert!(ShortChannelId::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn channels_by_any_of_their_names() {
        let id = "ab".repeat(32);
        let txid = format!("01{}", "00".repeat(31));
        let mut wire_txid = vec![0; 32];
        wire_txid[31] = 1;
        let table = [
            (id.clone(), By::ChannelId(vec![0xab; 32])),
            ("539x1x0".to_owned(), By::ShortChannelId(539 << 40 | 1 << 16)),
            (format!("{txid}:3"), By::Funding(OutPoint { txid: wire_txid, vout: 3 })),
        ];
        for (text, by) in table {
            assert_eq!(text.parse(), Ok(ChannelName(ChannelRef { by: Some(by) })));
        }
        for bad in ["", "ab", "593048839", &format!("{txid}:"), &format!("{txid}:-1"), "zz:0"] {
            assert!(ChannelName::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nodes_with_and_without_an_address() {
        let id = format!("02{}", "11".repeat(32));
        let at = NodeAt::from_str(&format!("{id}@[::1]:9735")).expect("well formed");
        assert_eq!(at.address, "[::1]:9735");
        assert_eq!(at.node_id.0.len(), 33);
        assert_eq!(NodeAt::from_str(&id).expect("well formed").address, "");
        let other_key = format!("04{}", "11".repeat(32));
        for bad in ["", "02", &id[2..], &other_key, &format!("{id}@"), &format!("{id}x")] {
            assert!(NodeAt::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn invoices_hashes_and_records() {
        assert_eq!(bolt11("lightning:lnbc1abc"), Ok("lnbc1abc".to_owned()));
        assert_eq!(bolt11("LIGHTNING:LNBC1ABC"), Ok("LNBC1ABC".to_owned()));
        for bad in ["", "l", "hello", "ln bc", "lnbc1-", "é"] {
            assert!(bolt11(bad).is_err(), "{bad}");
        }
        assert_eq!("00".repeat(32).parse(), Ok(HashOrBolt11::Hash(vec![0; 32])));
        assert!(HashOrBolt11::from_str("00").is_err());
        let record = Record { kind: 65_537, value: vec![0xc0, 0xff, 0xee] };
        assert_eq!("65537=c0ffee".parse(), Ok(record));
        for bad in ["", "1", "=00", "1=0", "1=zz", "-1=00"] {
            assert!(Record::from_str(bad).is_err(), "{bad}");
        }
    }
}
