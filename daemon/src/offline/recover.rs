//! `fulmend recover --stale`: prepares an older copy of the store, the newest there is, for the peers to close its channels.

use std::io::{IsTerminal as _, Write as _, stdin, stdout};

use super::Error;
use crate::config::{Config, Places};
use crate::node::recovery;
use crate::storage::{self, KvStore, Store};

/// What the operator agrees to.
const CONSEQUENCES: &str = "\
The store is taken for an older copy, and the newest state of its channels for lost:
  - every channel is given up, and its peer is asked to close it with the peer's own newest state;
  - what is ours comes back on chain only if the peer is honest, and once it is reachable;
  - payments that this copy holds as pending end as failed, though newer states may have paid them;
  - until all channels are closed, no channel is opened and nothing is paid or forwarded.
There is no way back. If the newest store is on another disk, restore that instead.
";

/// Drops the channel manager, after the operator's consent.
pub(super) fn stale(places: &Places, config: &Config, is_agreed: bool) -> Result<String, Error> {
    if !is_agreed && !agrees()? {
        return Err(Error::NotAgreed(CONSEQUENCES));
    }
    let store = match Store::open(&places.data, &config.storage) {
        Err(storage::Error::Behind { .. }) => {
            // They tell what the operator has just agreed to.
            storage::offline::forget_witnesses(&places.data, &config.storage)?;
            Store::open(&places.data, &config.storage)?
        }
        opened => opened?,
    };
    recovery::begin(&KvStore::new(store.clone())).wait()?;
    store.close();
    Ok(format!(
        "Start the node with `{}`: its peers close the channels as they connect. `fulmen info` shows how far that is, and \
         when to restart to collect what is ours.\n",
        super::start_command(places)
    ))
}

/// Asks on the terminal; nobody agrees where there is none.
fn agrees() -> Result<bool, Error> {
    let failed = |source| Error::Io { doing: "ask on the terminal".to_owned(), source };
    if !stdin().is_terminal() {
        return Ok(false);
    }
    let mut screen = stdout();
    write!(screen, "{CONSEQUENCES}Type `yes` to go on: ").map_err(failed)?;
    screen.flush().map_err(failed)?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim() == "yes")
}
