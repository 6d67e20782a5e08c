//! Who may do what: macaroons, their caveats, and the permission of each method. It knows no interface.

pub mod caller;
pub mod caveat;
mod error;
pub mod identifier;
mod keys;
pub mod lnd;
pub mod macaroon;
pub mod permission;
mod record;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::watch;

pub use error::{Error, NotAdmitted};
pub use keys::KEY_FILE;
pub use record::MacaroonRecord;

use crate::clock::Clock;
use crate::journal::{Entry, Journal};
use crate::private_file;
use crate::storage::{Batch, Page, Store};
use caller::Caller;
use caveat::{Call, Caveat};
use identifier::{Identifier, MacaroonId};
use keys::{FIRST, RootKeys, file_of};
use macaroon::{MAX_BYTES, Macaroon};
use record::MACAROONS;

/// The room of macaroons; a handle.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    data_dir: PathBuf,
    store: Store,
    journal: Journal,
    clock: Clock,
    keys: RwLock<RootKeys>,
    revoked: RwLock<HashSet<MacaroonId>>,
    /// Changes whenever macaroons cease to be accepted.
    revocations: watch::Sender<()>,
    /// Held while records or keys are changed.
    changing: Mutex<()>,
}

/// A macaroon with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The root key and the id.
    pub identifier: Identifier,
    /// The record of the macaroon that it was attenuated from, or of itself.
    pub record: Option<MacaroonRecord>,
    /// Why no call with it is admitted; none if calls that meet its conditions are.
    pub problem: Option<NotAdmitted>,
}

impl Access {
    /// Makes the root key and the first macaroons where there are none, so that clients have them while the store opens.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn make_files(data_dir: &Path) -> Result<(), Error> {
        RootKeys::load_or_create(data_dir).map(drop).map_err(Error::Files)
    }

    /// Loads the root keys and what was revoked; makes the first macaroons where there are none.
    ///
    /// # Errors
    /// [`Error::Files`], [`Error::Store`].
    pub fn open(
        data_dir: &Path,
        store: &Store,
        journal: Journal,
        clock: Clock,
    ) -> Result<Self, Error> {
        let keys = RootKeys::load_or_create(data_dir).map_err(Error::Files)?;
        let mut revoked = HashSet::new();
        MACAROONS.visit(store, |_, record| {
            if record.revoked_at.is_some() {
                revoked.insert(record.id);
            }
            ControlFlow::Continue(())
        })?;
        let access = Self(Arc::new(Inner {
            data_dir: data_dir.to_owned(),
            store: store.clone(),
            journal,
            clock,
            keys: RwLock::new(keys),
            revoked: RwLock::new(revoked),
            revocations: watch::Sender::new(()),
            changing: Mutex::default(),
        }));
        access.record_first()?;
        Ok(access)
    }

    /// Decides whether a macaroon allows a call.
    ///
    /// # Errors
    /// See [`NotAdmitted`].
    pub fn admit(&self, macaroon: &Macaroon, call: &Call) -> Result<Caller, NotAdmitted> {
        let Identifier { id, .. } = self.verify(macaroon)?;
        let mut caveats = Vec::with_capacity(macaroon.caveats.len());
        for caveat in &macaroon.caveats {
            let caveat = Caveat::parse(caveat)?;
            caveat.check(call)?;
            caveats.push(caveat);
        }
        Ok(Caller::new(id, call.method, caveats, texts(macaroon)))
    }

    /// Checks the signature, and that neither the macaroon nor its root key has been revoked.
    ///
    /// # Errors
    /// [`NotAdmitted::NotOurs`], [`NotAdmitted::Revoked`].
    pub fn verify(&self, macaroon: &Macaroon) -> Result<Identifier, NotAdmitted> {
        let identifier = Identifier::read(&macaroon.identifier).ok_or(NotAdmitted::NotOurs)?;
        let keys = self.0.keys.read().expect("no panic while held");
        let signed = keys.get(identifier.root_key).is_some_and(|key| macaroon.is_signed_by(key));
        match (signed, self.is_revoked(identifier.id)) {
            (false, _) => Err(NotAdmitted::NotOurs),
            (true, true) => Err(NotAdmitted::Revoked),
            (true, false) => Ok(identifier),
        }
    }

    /// Completes when a macaroon that was accepted is accepted no more.
    pub async fn until_revoked(self, macaroon: Identifier) {
        let mut revocations = self.0.revocations.subscribe();
        while self.is_accepted(macaroon) {
            if revocations.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Makes a macaroon for somebody who may do no more than the caller: its conditions come first, the new ones after.
    ///
    /// The macaroon is handed out only once its record is durable, so that whatever exists can be found and revoked.
    ///
    /// # Errors
    /// [`Error::BadCaveat`], [`Error::TooLong`], [`Error::Files`] without randomness, [`Error::Store`].
    pub async fn bake(
        &self,
        caller: &Caller,
        name: &str,
        caveats: &[String],
    ) -> Result<(Macaroon, MacaroonRecord), Error> {
        check_sense(caveats)?;
        let caveats = [caller.texts(), caveats].concat();
        let keys = self.0.keys.read().expect("no panic while held").clone();
        let macaroon = short_enough(keys.bake(&caveats).map_err(Error::Files)?)?;
        let record = self.record_of(&macaroon, name).ok_or(NotAdmitted::NotOurs)?;
        let mut batch = Batch::new();
        MACAROONS.insert(&self.0.store, &mut batch, &record.id.0, &record)?;
        self.0.store.commit(batch).await?;
        Ok((macaroon, record))
    }

    /// Returns a page of the macaroons that were baked, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn page(&self, token: &[u8], limit: usize) -> Result<Page<MacaroonRecord>, Error> {
        Ok(MACAROONS.page(&self.0.store, token, limit, |_| true)?)
    }

    /// Whether the root key of a macaroon still signs what is accepted.
    pub fn has_key(&self, number: u32) -> bool {
        self.0.keys.read().expect("no panic while held").get(number).is_some()
    }

    /// Reads what is known of a macaroon.
    ///
    /// # Errors
    /// [`NotAdmitted::NotOurs`] for one whose identifier is not of this daemon's form, [`Error::Store`].
    pub fn inspect(&self, macaroon: &Macaroon) -> Result<Inspected, Error> {
        let identifier = Identifier::read(&macaroon.identifier).ok_or(NotAdmitted::NotOurs)?;
        let record = MACAROONS.get(&self.0.store, &identifier.id.0)?;
        let now = self.0.clock.unix_secs();
        let expired = |caveat: &Vec<u8>| match Caveat::parse(caveat) {
            Ok(Caveat::Before(end)) if end <= now => Some(caveat::CaveatRefusal::Expired(end)),
            Ok(_) => None,
            Err(unknown) => Some(unknown),
        };
        let problem = match self.verify(macaroon) {
            Err(problem) => Some(problem),
            Ok(_) => macaroon.caveats.iter().find_map(expired).map(NotAdmitted::Refused),
        };
        Ok(Inspected { identifier, record, problem })
    }

    /// Adds conditions to a macaroon; it keeps its id, so it is revoked with the one that it comes from.
    ///
    /// # Errors
    /// [`Error::NotAdmitted`], [`Error::BadCaveat`], [`Error::TooLong`].
    pub fn attenuate(&self, macaroon: Macaroon, caveats: &[String]) -> Result<Macaroon, Error> {
        self.verify(&macaroon)?;
        check_sense(caveats)?;
        short_enough(caveats.iter().fold(macaroon, |macaroon, one| macaroon.with_caveat(one)))
    }

    /// Revokes a macaroon with all that were attenuated from it; their streams end. Again does no harm.
    ///
    /// # Errors
    /// [`Error::RevokesItself`], [`Error::Unknown`], [`Error::Store`].
    pub async fn revoke(&self, caller: &Caller, id: MacaroonId) -> Result<MacaroonRecord, Error> {
        if caller.id == id {
            return Err(Error::RevokesItself);
        }
        let (record, commit) = {
            let _changing = self.0.changing.lock().expect("no panic while held");
            let record = MACAROONS.get(&self.0.store, &id.0)?.ok_or(Error::Unknown)?;
            let revoked_at = Some(record.revoked_at.unwrap_or(self.0.clock.unix_secs()));
            let record = MacaroonRecord { revoked_at, ..record };
            let mut batch = Batch::new();
            MACAROONS.update(&mut batch, &id.0, &record);
            (record, self.0.store.commit(batch))
        };
        // At once, and not only when it is durable: a crash before that leaves it unanswered.
        self.0.revoked.write().expect("no panic while held").insert(id);
        self.0.revocations.send_replace(());
        commit.await?;
        Ok(record)
    }

    /// Makes a new root key, renews the first macaroons' files with it, and retires all older keys: every other macaroon
    /// is worth nothing then. Returns the new key's number.
    ///
    /// A crash between its steps leaves old and new keys, both accepted, and whole files: rotate again.
    ///
    /// # Errors
    /// [`Error::Files`], [`Error::Store`].
    pub fn rotate(&self) -> Result<u32, Error> {
        let _changing = self.0.changing.lock().expect("no panic while held");
        let mut keys = self.0.keys.read().expect("no panic while held").clone();
        keys.add(&self.0.data_dir).map_err(Error::Files)?;
        self.accept(&keys);
        keys.renew_first(&self.0.data_dir).map_err(Error::Files)?;
        self.record_first()?;
        keys.retire_older(&self.0.data_dir).map_err(Error::Files)?;
        self.accept(&keys);
        self.0.revocations.send_replace(());
        tracing::info!(root_key = keys.newest(), "rotated the root key of macaroons");
        Ok(keys.newest())
    }

    /// Writes into the journal that a call is admitted which changes money, channels or access.
    pub fn audit(&self, caller: &Caller) {
        let mut batch = Batch::new();
        self.0.journal.append(&mut batch, used(caller, Vec::new()));
        // Enqueued before whatever the call itself stores, hence durable before it.
        drop(self.0.store.commit(batch));
    }

    fn accept(&self, keys: &RootKeys) {
        *self.0.keys.write().expect("no panic while held") = keys.clone();
    }

    fn is_accepted(&self, macaroon: Identifier) -> bool {
        self.has_key(macaroon.root_key) && !self.is_revoked(macaroon.id)
    }

    fn is_revoked(&self, id: MacaroonId) -> bool {
        self.0.revoked.read().expect("no panic while held").contains(&id)
    }

    /// Records the macaroons whose files the daemon makes, so that they are listed and can be revoked.
    fn record_first(&self) -> Result<(), Error> {
        let mut batch = Batch::new();
        for (name, _) in FIRST {
            let file = file_of(&self.0.data_dir, name);
            let Some(bytes) = private_file::read(&file).map_err(Error::Files)? else { continue };
            // The operator may have put another one there.
            let Ok(macaroon) = Macaroon::decode(&bytes) else { continue };
            let Some(record) = self.record_of(&macaroon, name) else { continue };
            if MACAROONS.get(&self.0.store, &record.id.0)?.is_none() {
                MACAROONS.insert(&self.0.store, &mut batch, &record.id.0, &record)?;
            }
        }
        self.0.store.commit_lazily(batch);
        Ok(())
    }

    fn record_of(&self, macaroon: &Macaroon, name: &str) -> Option<MacaroonRecord> {
        let Identifier { root_key, id } = self.verify(macaroon).ok()?;
        Some(MacaroonRecord {
            id,
            name: name.to_owned(),
            root_key,
            caveats: texts(macaroon),
            created_at: self.0.clock.unix_secs(),
            revoked_at: None,
        })
    }
}

/// The journal's entry about a call; `subject` is the id of what it made, if it made something.
fn used(caller: &Caller, subject: Vec<u8>) -> Entry {
    Entry::MacaroonUsed { macaroon_id: caller.id.0, method: caller.method.to_owned(), subject }
}

/// The conditions as text.
pub fn texts(macaroon: &Macaroon) -> Vec<String> {
    macaroon.caveats.iter().map(|caveat| String::from_utf8_lossy(caveat).into_owned()).collect()
}

fn check_sense(caveats: &[String]) -> Result<(), Error> {
    for text in caveats {
        let caveat = Caveat::parse(text.as_bytes());
        let caveat = caveat.map_err(|_| Error::BadCaveat(format!("`{text}` is no condition")))?;
        caveat.check_sense().map_err(|why| Error::BadCaveat(format!("`{text}`: {why}")))?;
    }
    Ok(())
}

fn short_enough(macaroon: Macaroon) -> Result<Macaroon, Error> {
    match macaroon.encode().len() {
        bytes if bytes > MAX_BYTES => Err(Error::TooLong(bytes)),
        _ => Ok(macaroon),
    }
}
