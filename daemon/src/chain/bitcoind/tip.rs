//! A thread that waits for new blocks at bitcoind, so that one is noticed at once without ZMQ.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bitcoin::BlockHash;
use serde_json::json;
use tokio::sync::watch;

use super::answers;
use super::rpc::{Connection, Rpc};
use crate::chain::Error;
use crate::tasks;

/// From this version on, `waitfornewblock` takes the tip that the caller knows, so that a block
/// between two calls is not missed.
const KNOWS_CURRENT_TIP: u64 = 300_000;
/// How long one call waits at bitcoind.
const WAIT: Duration = Duration::from_secs(20);
/// The same where a block between two calls is noticed only by the next one.
const WAIT_OLD: Duration = Duration::from_secs(4);
/// How much longer than that the answer may take to arrive.
const GRACE: Duration = Duration::from_secs(20);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Short, because the success of this thread wakes everybody else who waits for bitcoind.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread; it ends by itself soon after the last receiver and `rpc` are gone.
pub(super) fn watch(rpc: &Arc<Rpc>, version: u64) -> watch::Receiver<Option<BlockHash>> {
    let (publish, hints) = watch::channel(None);
    let rpc = Arc::downgrade(rpc);
    let with_tip = version >= KNOWS_CURRENT_TIP;
    if let Err(error) = tasks::thread("bitcoind-tip", move || run(&rpc, &publish, with_tip)) {
        tracing::warn!(%error, "no thread to wait for blocks: bitcoind is polled");
    }
    hints
}

fn run(rpc: &Weak<Rpc>, publish: &watch::Sender<Option<BlockHash>>, mut with_tip: bool) {
    let mut connection = None;
    let mut tip = None;
    let mut pause = SHORTEST_PAUSE;
    while !publish.is_closed() {
        match wait_once(rpc, &mut connection, tip, with_tip) {
            Ok(hash) => {
                pause = SHORTEST_PAUSE;
                tip = Some(hash);
                publish.send_if_modified(|last| last.replace(hash) != Some(hash));
                continue;
            }
            Err(Error::Stopping) => return,
            Err(Error::Refused { .. }) if with_tip => with_tip = false,
            Err(error @ (Error::Refused { .. } | Error::Forbidden { .. })) => {
                tracing::info!(%error, "bitcoind cannot be asked to wait for blocks: it is polled");
                return;
            }
            Err(_) => (connection, tip) = (None, None),
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns the tip: at once if it is not the one that is known, else after a change or a while.
fn wait_once(
    rpc: &Weak<Rpc>,
    connection: &mut Option<Connection>,
    tip: Option<BlockHash>,
    with_tip: bool,
) -> Result<BlockHash, Error> {
    let rpc = rpc.upgrade().ok_or(Error::Stopping)?;
    let wait = if with_tip { WAIT } else { WAIT_OLD };
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(rpc.connect(wait + GRACE)?),
    };
    let Some(tip) = tip else { return rpc.call_over(connection, "getbestblockhash", &[]) };
    let mut params = vec![json!(wait.as_millis() as u64)];
    params.extend(with_tip.then(|| json!(tip)));
    let answer: answers::NewBlock = rpc.call_over(connection, "waitfornewblock", &params)?;
    Ok(answer.hash)
}
