//! Any message of the API as JSON that mirrors its `.proto`.
//!
//! Fields keep their names and are all there; a message that is not set is `null`. Integers are
//! numbers, enums their names in lower case, oneofs the one field that is set. Bytes are hex in the
//! order of the wire, but transaction ids and block hashes as explorers print them. Short channel
//! ids are `BLOCKxTRANSACTIONxOUTPUT` as commands take them (as numbers they would lose digits in
//! many JSON readers), `null` where there is none.
use std::sync::LazyLock;

use fulmen_proto::v1::FILE_DESCRIPTOR_SET;
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value,
};
use serde_json::{Map, Value as Json};

use super::human;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors were compiled with the API")
});

/// Returns `message` as JSON.
pub fn json<M: Message + Name>(message: &M) -> Json {
    let descriptor = POOL
        .get_message_by_name(&M::full_name())
        .expect("every message of the API is in its descriptors");
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("what was just encoded by the same descriptors decodes");
    of_message(&dynamic)
}

fn of_message(message: &DynamicMessage) -> Json {
    let mut object = Map::new();
    for field in message.descriptor().fields() {
        let in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        let value = match message.has_field(&field) {
            true => of_value(&field, &message.get_field(&field)),
            false if in_oneof => continue,
            false if field.supports_presence() => Json::Null,
            false => of_value(&field, &message.get_field(&field)),
        };
        object.insert(field.name().to_owned(), value);
    }
    Json::Object(object)
}

fn of_value(field: &FieldDescriptor, value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::I32(value) => Json::from(*value),
        Value::I64(value) => Json::from(*value),
        Value::U32(value) => Json::from(*value),
        Value::U64(scid) if is_short_channel_id(field.name()) => match scid {
            0 => Json::Null,
            scid => Json::from(human::scid(*scid)),
        },
        Value::U64(value) => Json::from(*value),
        Value::F32(value) => Json::from(*value),
        Value::F64(value) => Json::from(*value),
        Value::String(value) => Json::from(value.as_str()),
        Value::Bytes(bytes) if is_block_or_transaction(field.name()) => {
            Json::from(human::txid(bytes))
        }
        Value::Bytes(bytes) => Json::from(human::hex(bytes)),
        Value::EnumNumber(number) => of_enum(field, *number),
        Value::Message(message) => of_message(message),
        Value::List(values) => values.iter().map(|value| of_value(field, value)).collect(),
        // The API has no maps; should it get one, its values at least are shown.
        Value::Map(values) => values.values().map(|value| of_value(field, value)).collect(),
    }
}

fn of_enum(field: &FieldDescriptor, number: i32) -> Json {
    let Kind::Enum(kind) = field.kind() else { return Json::from(number) };
    match kind.get_value(number) {
        Some(value) if number == 0 && value.name().ends_with("_UNSPECIFIED") => {
            Json::from("unspecified")
        }
        Some(value) => Json::from(value.name().to_ascii_lowercase()),
        None => Json::from(number),
    }
}

fn is_short_channel_id(name: &str) -> bool {
    const MORE: [&str; 3] = ["out_through", "in_through", "avoid_channels"];
    name.ends_with("short_channel_id") || name.ends_with("scid_alias") || MORE.contains(&name)
}

fn is_block_or_transaction(name: &str) -> bool {
    name.ends_with("txid") || name.ends_with("block_hash")
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::{self, channel_ref::By};
    use serde_json::json as literal;

    use super::*;

    fn txid() -> Vec<u8> {
        let mut txid = vec![0; 32];
        txid[31] = 0xab;
        txid
    }

    #[test]
    fn bytes_numbers_enums_and_nested_messages() {
        let explorer = format!("ab{}", "00".repeat(31));
        let update = v1::OpenChannelUpdate {
            state: v1::open_channel_update::State::FundingBroadcast.into(),
            channel_id: vec![1, 2],
            funding: Some(v1::OutPoint { txid: txid(), vout: 7 }),
            short_channel_id: 539 << 40 | 1 << 16,
            failure: String::new(),
            capacity_sat: u64::MAX,
            funding_address: String::new(),
        };
        let expected = literal!({
            "state": "funding_broadcast", "channel_id": "0102",
            "funding": {"txid": explorer, "vout": 7}, "short_channel_id": "539x1x0",
            "failure": "", "capacity_sat": u64::MAX, "funding_address": "",
        });
        assert_eq!(json(&update), expected);
    }

    #[test]
    fn what_is_not_set_is_there_all_the_same() {
        let expected = literal!({
            "state": "unspecified", "channel_id": "", "closing_txid": "", "reason": "", "fee_sat": 0,
            "max_fee_sat": 0, "forced_fee_sat": 0, "forced_lock_blocks": 0,
            "agreed_receive_sat": 0, "forced_receive_sat": 0, "pending_htlcs": 0, "pending_claims": 0,
            "pending_outbound_msat": 0, "pending_inbound_msat": 0, "pending_until_height": 0,
            "agreed_obstacle": "",
        });
        assert_eq!(json(&v1::CloseChannelUpdate::default()), expected);
        let limits = literal!({
            "max_fee_msat": null, "timeout_secs": 0, "max_parts": 0, "max_total_cltv_delta": 0,
        });
        assert_eq!(json(&v1::PaymentLimits::default()), limits);
        let list = literal!({"forwards": [], "next_page_token": ""});
        assert_eq!(json(&v1::ListForwardsResponse::default()), list);
        assert_eq!(json(&v1::GraphChannel::default())["short_channel_id"], Json::Null);
        assert_eq!(json(&v1::GraphChannel::default())["one_to_two"], Json::Null);
    }

    #[test]
    fn a_oneof_shows_the_one_field() {
        let by_id = v1::ChannelRef { by: Some(By::ChannelId(vec![0xff])) };
        assert_eq!(json(&by_id), literal!({"channel_id": "ff"}));
        assert_eq!(json(&v1::ChannelRef { by: None }), literal!({}));
        let zero = v1::ChannelRef { by: Some(By::ShortChannelId(0)) };
        assert_eq!(json(&zero), literal!({"short_channel_id": null}));
    }

    #[test]
    fn a_loss_is_negative() {
        let spent = v1::WalletTransaction { net_sat: -5, ..Default::default() };
        assert_eq!(json(&spent)["net_sat"], literal!(-5));
    }

    #[test]
    fn every_message_of_the_api_is_known() {
        assert!(POOL.all_messages().len() > 50);
        for message in POOL.all_messages() {
            of_message(&DynamicMessage::new(message));
        }
    }
}
