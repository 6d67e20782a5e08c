//! Requests for forwarding policies.

use fulmen_proto::v1;
use tonic::Status;

use super::fields;
use crate::api::status::malformed;
use crate::channels::{PolicyChange, Scope, SetPolicy, Which, Wish};

/// The most channels that one call names.
const MAX_CHANNELS: usize = 1_000;

/// Reads what is to become of which policies.
pub fn set(request: v1::SetPolicyRequest) -> Result<SetPolicy, Status> {
    let scope = match request.scope() {
        v1::set_policy_request::Scope::Unspecified => Scope::Open,
        v1::set_policy_request::Scope::OpenAndNew => Scope::OpenAndNew,
        v1::set_policy_request::Scope::New => Scope::New,
    };
    let change = PolicyChange {
        base_fee_msat: request.base_fee_msat,
        proportional_millionths: request.proportional_millionths,
        cltv_expiry_delta: request.cltv_expiry_delta,
    };
    let wish = match request.reset {
        false => Wish::Change(change),
        true if change == PolicyChange::default() => Wish::Reset,
        true => {
            return Err(malformed("reset", "takes no policy: it is what the configuration says"));
        }
    };
    Ok(SetPolicy { which: which(request.which)?, scope, wish, dry_run: request.dry_run })
}

fn which(which: Option<v1::set_policy_request::Which>) -> Result<Which, Status> {
    use v1::set_policy_request::Which as Wire;
    match which {
        Some(Wire::Channel(channel)) => {
            Ok(Which::These(vec![fields::channel_ref("channel", Some(channel))?]))
        }
        Some(Wire::Channels(v1::ChannelRefs { channels })) => match channels.len() {
            0 => Err(malformed("channels", "names no channel")),
            1..=MAX_CHANNELS => {
                let read = |channel| fields::channel_ref("channels", Some(channel));
                channels.into_iter().map(read).collect::<Result<_, _>>().map(Which::These)
            }
            many => Err(malformed("channels", format!("{many} are more than {MAX_CHANNELS}"))),
        },
        Some(Wire::NodeId(id)) => fields::node_id("node_id", &id).map(Which::Peer),
        Some(Wire::All(true)) => Ok(Which::All),
        Some(Wire::All(false)) | None => {
            Err(malformed("which", "channels, a peer or all of them must be named"))
        }
    }
}

#[cfg(test)]
mod tests {
    use v1::set_policy_request::Which as Wire;

    use super::*;

    #[test]
    fn channels_a_peer_or_all_must_be_named() {
        assert!(matches!(which(Some(Wire::All(true))), Ok(Which::All)));
        let says = |wire| which(wire).expect_err("refused").message().to_owned();
        assert!(says(None).starts_with("which: "));
        assert!(says(Some(Wire::All(false))).starts_with("which: "));
        assert!(says(Some(Wire::NodeId(vec![1]))).starts_with("node_id: "));
        let refs = |count| {
            let one = v1::ChannelRef { by: Some(v1::channel_ref::By::ShortChannelId(1)) };
            Some(Wire::Channels(v1::ChannelRefs { channels: vec![one; count] }))
        };
        assert!(says(refs(0)).starts_with("channels: "));
        assert!(says(refs(1_001)).contains("more than 1000"));
        assert!(matches!(which(refs(2)), Ok(Which::These(two)) if two.len() == 2));
    }

    #[test]
    fn a_reset_takes_no_policy() {
        let all = || Some(Wire::All(true));
        let reset = v1::SetPolicyRequest { which: all(), reset: true, ..Default::default() };
        assert!(matches!(set(reset.clone()).expect("fine").wish, Wish::Reset));
        let both = v1::SetPolicyRequest { base_fee_msat: Some(1), ..reset };
        assert!(set(both).expect_err("refused").message().starts_with("reset: "));
    }
}
