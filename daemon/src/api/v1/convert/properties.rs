//! Properties of requests as broken or hostile clients send them. `daemon/fuzz` has the same function as a target.

use fulmen_proto::v1;
use proptest::prelude::*;
use prost::Message as _;
use tonic::Code;

use super::{fields, requests};

proptest! {
    #[test]
    fn any_bytes_are_converted_or_refused_as_malformed(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        for outcome in requests(&bytes) {
            if let Err(status) = outcome {
                prop_assert_eq!(status.code(), Code::InvalidArgument);
                prop_assert!(status.message().contains(": "), "{}", status.message());
            }
        }
    }

    #[test]
    fn opens_of_any_fields_are_converted_or_refused(
        node_id in prop::collection::vec(any::<u8>(), 30..36),
        capacity_sat in any::<u64>(),
        push_msat in any::<u64>(),
        feerate_msat_per_vb in any::<u64>(),
        idempotency_key in "[ -~]{0,80}",
    ) {
        let request = v1::OpenChannelRequest {
            node_id,
            amount: Some(v1::open_channel_request::Amount::CapacitySat(capacity_sat)),
            push_msat,
            feerate_msat_per_vb,
            idempotency_key,
            ..Default::default()
        };
        for outcome in requests(&request.encode_to_vec()) {
            prop_assert!(outcome.err().is_none_or(|status| status.code() == Code::InvalidArgument));
        }
    }

    #[test]
    fn no_amount_passes_that_cannot_exist(sat in any::<u64>(), msat in any::<u64>()) {
        let fits = fields::amount_sat("x", sat).is_ok();
        prop_assert_eq!(fits, (1..=fields::MAX_MONEY_SAT).contains(&sat), "{} sat", sat);
        let fits = fields::optional_amount_msat("x", msat).is_ok();
        prop_assert_eq!(fits, msat <= fields::MAX_MONEY_SAT * 1_000, "{} msat", msat);
    }
}
