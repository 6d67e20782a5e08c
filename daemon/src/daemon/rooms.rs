//! The rooms' stage: what users and events are about, in step with LDK.

use std::sync::Arc;

use super::chain::Chain;
use super::wallet::OnChain;
use super::{Error, Ground};
use crate::admission::Admission;
use crate::backup::{self, Backup};
use crate::channels::Channels;
use crate::config::Config;
use crate::forwards::Forwards;
use crate::invoices::Invoices;
use crate::journal::Journal;
use crate::node::Node;
use crate::offers::Offers;
use crate::parts::Parts;
use crate::payments::Payments;
use crate::peers::Peers;

/// The brothers, and what they share.
pub(super) struct Rooms {
    pub(super) journal: Journal,
    pub(super) admission: Admission,
    pub(super) channels: Channels,
    pub(super) payments: Payments,
    pub(super) invoices: Invoices,
    pub(super) offers: Offers,
    pub(super) forwards: Forwards,
    pub(super) peers: Peers,
    pub(super) backup: Backup,
}

/// Builds the rooms, and compares the records of channels and payments with what LDK has.
pub(super) async fn start(
    ground: &Ground,
    config: &Config,
    journal: &Journal,
    chain: &Chain,
    on_chain: &OnChain,
    node: &Arc<Node>,
    admission: Admission,
) -> Result<Rooms, Error> {
    let parts = Parts {
        node: node.clone(),
        feerates: Arc::new(chain.feerates.clone()),
        store: ground.store.clone(),
        journal: journal.clone(),
        tasks: ground.tasks.clone(),
        admission: admission.as_check(),
        clock: ground.clock.clone(),
    };
    let channels = Channels::new(config.channels.clone(), &parts, on_chain.spends.clone());
    let payments = Payments::new(config.payments.clone(), &parts);
    let invoices = Invoices::new(config.invoices.clone(), &parts);
    let offers = Offers::new(&parts);
    let forwards = Forwards::new(&parts)?;
    let peers = Peers::new(config.peers.clone(), &parts);
    let backup = Backup::new(
        config.backup.clone(),
        &parts,
        backup::Materials {
            directory: ground.places.data.clone(),
            node_seed: on_chain.node_seed,
            channels: channels.clone(),
            peers: peers.clone(),
            source: chain.source.clone(),
            static_outputs: on_chain.static_outputs.clone(),
        },
    );
    let (unwritten, recovering) = (backup.clone(), backup.clone());
    ground.warnings.add(move || unwritten.warning());
    ground.warnings.add(move || recovering.recovery_warning());
    channels.reconcile().await?;
    payments.reconcile()?;
    let journal = journal.clone();
    Ok(Rooms { journal, admission, channels, payments, invoices, offers, forwards, peers, backup })
}
