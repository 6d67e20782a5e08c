//! Decides whether a channel may be opened as it is asked for.

use super::{Amount, Open};
use crate::admission::NotReady;
use crate::amounts::Grouped;
use crate::channels::policy;
use crate::channels::{Config, Error};
use crate::wallet::CoinChoice;

/// What is known when a channel is to be opened.
#[derive(Clone, Debug)]
pub(super) struct OpenFacts {
    pub(super) ourselves: bool,
    pub(super) connected: bool,
    /// Whether the peer knows `option_anchors`.
    pub(super) anchors: bool,
    pub(super) pending_with_peer: usize,
    pub(super) not_ready: Option<NotReady>,
}

/// Refuses an open that cannot succeed.
pub(super) fn check(request: &Open, facts: &OpenFacts) -> Result<(), Error> {
    if facts.ourselves {
        return Err(Error::Argument("node_id", "is this node itself".to_owned()));
    }
    if let Some(policy) = request.policy {
        policy::check(policy.into())?;
    }
    if let Some(why) = &facts.not_ready {
        return Err(Error::NotReady(why.clone()));
    }
    if !facts.connected {
        return Err(Error::NotConnected(request.node_id));
    }
    if !facts.anchors {
        return Err(Error::NoAnchors(request.node_id));
    }
    // LDK itself takes no more unfunded channels of one peer; ours is the sooner and clearer refusal.
    if facts.pending_with_peer >= MAX_PENDING_OUTBOUND {
        let pending = facts.pending_with_peer;
        return Err(Error::TooManyPending { pending, most: MAX_PENDING_OUTBOUND });
    }
    Ok(())
}

/// Opens to one peer that may wait for their confirmations at once.
const MAX_PENDING_OUTBOUND: usize = 20;

/// Refuses a capacity out of bounds, and a push that leaves us less than our reserve.
pub(super) fn check_capacity(
    config: &Config,
    capacity_sat: u64,
    push_msat: u64,
) -> Result<(), Error> {
    if capacity_sat < config.min_capacity_sat {
        let why = format!(
            "{} is below the least, {}",
            Grouped(capacity_sat),
            Grouped(config.min_capacity_sat)
        );
        return Err(Error::Argument("capacity_sat", why));
    }
    if capacity_sat > config.max_capacity_sat {
        let why = format!(
            "{} is above the most, {}",
            Grouped(capacity_sat),
            Grouped(config.max_capacity_sat)
        );
        return Err(Error::Argument("capacity_sat", why));
    }
    // The peer gets at most what leaves us our own reserve (BOLT 2).
    let reserve_sat = capacity_sat / 100;
    if push_msat > (capacity_sat - reserve_sat) * 1_000 {
        let why = format!(
            "{} leaves less than a hundredth of the capacity on our side",
            Grouped(push_msat)
        );
        return Err(Error::Argument("push_msat", why));
    }
    Ok(())
}

/// Tells whether two requests ask for the same.
pub(super) fn fingerprint(request: &Open) -> String {
    let amount = match request.amount {
        Amount::Exactly(sat) => format!("{sat} sat"),
        Amount::All => "all".to_owned(),
    };
    let announce = if request.announce { "public" } else { "private" };
    let mut asked = format!(
        "{amount} with {}, {announce}, pushing {} msat",
        request.node_id, request.push_msat
    );
    if request.coins != CoinChoice::default() {
        asked.push_str(&format!(", {:?}", request.coins));
    }
    if request.outside {
        asked.push_str(", paid from outside");
    }
    if request.zero_conf {
        asked.push_str(", unconfirmed");
    }
    if let Some(script) = &request.close_script {
        asked.push_str(&format!(", closing to {script}"));
    }
    asked
}

#[cfg(test)]
mod tests {
    use bitcoin::ScriptBuf;

    use super::*;
    use crate::admission::Unsynced;
    use crate::channels::policy::Policy;
    use crate::channels::record;

    fn request() -> Open {
        Open {
            node_id: record::tests::opening().node_id,
            amount: Amount::Exactly(100_000),
            push_msat: 0,
            announce: true,
            feerate: None,
            policy: None,
            coins: CoinChoice::default(),
            outside: false,
            zero_conf: false,
            close_script: None,
            idempotency_key: None,
        }
    }

    fn facts() -> OpenFacts {
        OpenFacts {
            ourselves: false,
            connected: true,
            anchors: true,
            pending_with_peer: 0,
            not_ready: None,
        }
    }

    #[test]
    fn each_obstacle_is_told_apart() {
        assert!(check(&request(), &facts()).is_ok());
        let refusal = |facts| check(&request(), &facts).expect_err("must be refused");
        assert!(matches!(
            refusal(OpenFacts { ourselves: true, ..facts() }),
            Error::Argument("node_id", _)
        ));
        assert!(matches!(
            refusal(OpenFacts { connected: false, ..facts() }),
            Error::NotConnected(_)
        ));
        assert!(matches!(refusal(OpenFacts { anchors: false, ..facts() }), Error::NoAnchors(_)));
        assert!(matches!(
            refusal(OpenFacts {
                not_ready: Some(NotReady::NotSynced(Unsynced::NoPeers)),
                ..facts()
            }),
            Error::NotReady(_)
        ));
        assert!(matches!(
            refusal(OpenFacts { pending_with_peer: 20, ..facts() }),
            Error::TooManyPending { pending: 20, .. }
        ));
        let policy = Policy { base_fee_msat: 0, proportional_millionths: 0, cltv_expiry_delta: 1 };
        let request = Open { policy: Some(policy), ..request() };
        assert!(matches!(check(&request, &facts()), Err(Error::Argument("cltv_expiry_delta", _))));
    }

    #[test]
    fn capacity_and_push_have_bounds() {
        let config = Config::default();
        let table = [
            (20_000, 0, None),
            (19_999, 0, Some("capacity_sat")),
            (1_000_000_000, 0, None),
            (1_000_000_001, 0, Some("capacity_sat")),
            (100_000, 99_000_000, None),
            (100_000, 99_000_001, Some("push_msat")),
            (100_000, u64::MAX, Some("push_msat")),
        ];
        for (capacity_sat, push_msat, argument) in table {
            let refused = check_capacity(&config, capacity_sat, push_msat).err();
            let named = refused.map(|error| match error {
                Error::Argument(argument, _) => argument,
                other => panic!("{other}"),
            });
            assert_eq!(named, argument, "{capacity_sat} sat, {push_msat} msat pushed");
        }
    }

    #[test]
    fn another_wish_has_another_fingerprint() {
        let first = fingerprint(&request());
        for other in [
            Open { amount: Amount::All, ..request() },
            Open { push_msat: 1, ..request() },
            Open { announce: false, ..request() },
            Open { zero_conf: true, ..request() },
            Open { outside: true, ..request() },
            Open { close_script: Some(ScriptBuf::new()), ..request() },
            Open { coins: CoinChoice { min_confirmations: 1, ..Default::default() }, ..request() },
        ] {
            assert_ne!(fingerprint(&other), first);
        }
        assert_eq!(fingerprint(&Open { idempotency_key: Some("k".into()), ..request() }), first);
    }
}
