//! The records of hold invoices: accepted, settled by the user, completed after a restart.

use bitcoin::hashes::{Hash as _, sha256};

use super::Error;
use super::book::InvoiceBook;
use super::record::{HELD, INVOICES, InvoiceKind, InvoiceRecord, InvoiceState, Stored};
use crate::journal::Entry;
use crate::storage::{self, Batch, Commit};

/// What becomes of a hold invoice that the user wants to settle.
#[derive(Debug)]
enum Settlement {
    /// Keep the record, then claim.
    Claim(Box<InvoiceRecord>),
    /// It is being claimed, or was claimed, with the same preimage.
    Claimed(Box<InvoiceRecord>),
}

impl InvoiceBook {
    /// Records that a set of HTLCs is held in a durable checkpoint; unless something else was decided meanwhile.
    pub(super) fn accept(
        &self,
        payment_hash: &[u8; 32],
        claim_id: Option<[u8; 32]>,
        now: u64,
    ) -> Result<(), storage::Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let Some(record) = self.get(payment_hash)? else { return Ok(()) };
        if record.stored != Stored::Arrived || record.claim_id != claim_id {
            return Ok(());
        }
        let record = InvoiceRecord { stored: Stored::Accepted, accepted_at: Some(now), ..record };
        let mut batch = Batch::new();
        self.journal.append(
            &mut batch,
            Entry::InvoiceAccepted {
                payment_hash: record.payment_hash,
                received_msat: record.received_msat,
                claim_deadline_height: record.claim_deadline_height.unwrap_or(0),
            },
        );
        self.change(&record, batch).map(drop)
    }

    /// Records the preimage of a hold invoice; once that is durable, its HTLCs are to be claimed.
    pub(super) fn settle_held(
        &self,
        payment_hash: &[u8; 32],
        preimage: [u8; 32],
        height: u32,
        now: u64,
    ) -> Result<(InvoiceRecord, Commit), Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let record = self.get(payment_hash)?.ok_or(Error::Unknown)?;
        match settlement(record, preimage, height, now)? {
            Settlement::Claimed(record) => Ok((*record, self.store.sync())),
            Settlement::Claim(record) => {
                let commit = self.change(&record, Batch::new())?;
                Ok((*record, commit))
            }
        }
    }

    /// Makes an invoice payable again whose HTLCs a crash has undone before any client heard about them.
    pub(super) fn reopen(&self, payment_hash: &[u8; 32]) -> Result<(), storage::Error> {
        let _changing = self.changing.lock().expect("no panic while held");
        let Some(record) = self.get(payment_hash)? else { return Ok(()) };
        if record.stored != Stored::Arrived {
            return Ok(());
        }
        let record = InvoiceRecord {
            stored: Stored::Open,
            received_msat: 0,
            parts: 0,
            claim_id: None,
            claim_deadline_height: None,
            ..record
        };
        let mut batch = Batch::new();
        HELD.delete(&mut batch, payment_hash);
        self.change(&record, batch).map(drop)
    }

    /// Takes an invoice off the list of the held ones: none of its HTLCs is left.
    pub(super) fn released(&self, payment_hash: &[u8; 32]) {
        let _changing = self.changing.lock().expect("no panic while held");
        let mut batch = Batch::new();
        HELD.delete(&mut batch, payment_hash);
        drop(self.store.commit(batch));
    }

    /// The hold invoices whose HTLCs are to be claimed or failed yet.
    pub(super) fn held(&self) -> Result<Vec<InvoiceRecord>, storage::Error> {
        let names = HELD.all(&self.store)?;
        let records =
            names.into_iter().map(|(_, name)| INVOICES.get(&self.store, &name.payment_hash));
        Ok(records.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}

/// Decides about a preimage that the user gives for a hold invoice.
fn settlement(
    record: InvoiceRecord,
    preimage: [u8; 32],
    height: u32,
    now: u64,
) -> Result<Settlement, Error> {
    if record.kind != InvoiceKind::Hold {
        return Err(Error::NotHeld);
    }
    if sha256::Hash::hash(&preimage).to_byte_array() != record.payment_hash {
        return Err(Error::WrongPreimage);
    }
    match record.state(now) {
        InvoiceState::Open => Err(Error::NotAccepted),
        InvoiceState::Accepted => match record.claim_deadline_height {
            Some(deadline) if height >= deadline => Err(Error::DeadlineReached(deadline)),
            Some(_) | None => Ok(Settlement::Claim(Box::new(InvoiceRecord {
                stored: Stored::Claiming,
                preimage: Some(preimage),
                ..record
            }))),
        },
        InvoiceState::Claiming | InvoiceState::Settled => Ok(Settlement::Claimed(Box::new(record))),
        state @ (InvoiceState::Cancelled | InvoiceState::Expired) => Err(Error::TooLate(state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoices::record::tests::whole;

    const PREIMAGE: [u8; 32] = [7; 32];

    fn hold(stored: Stored) -> InvoiceRecord {
        InvoiceRecord {
            payment_hash: sha256::Hash::hash(&PREIMAGE).to_byte_array(),
            kind: InvoiceKind::Hold,
            stored,
            preimage: None,
            claim_deadline_height: Some(100),
            ..whole()
        }
    }

    #[test]
    fn only_what_is_accepted_is_settled_and_only_by_its_preimage() {
        let now = whole().expires_at;
        for (name, record, preimage, height, expected) in [
            ("accepted", hold(Stored::Accepted), PREIMAGE, 99, Ok(true)),
            ("after its expiry", hold(Stored::Accepted), PREIMAGE, 1, Ok(true)),
            ("again", hold(Stored::Claiming), PREIMAGE, 99, Ok(false)),
            ("again later", hold(Stored::Settled), PREIMAGE, 200, Ok(false)),
            ("deadline", hold(Stored::Accepted), PREIMAGE, 100, Err("claim deadline")),
            ("open", hold(Stored::Open), PREIMAGE, 1, Err("accepted yet")),
            ("not durable", hold(Stored::Arrived), PREIMAGE, 1, Err("accepted yet")),
            ("cancelled", hold(Stored::Cancelled), PREIMAGE, 1, Err("was cancelled")),
            ("other preimage", hold(Stored::Accepted), [8; 32], 1, Err("does not fit")),
            (
                "ordinary",
                InvoiceRecord { kind: InvoiceKind::Bolt11, ..hold(Stored::Open) },
                PREIMAGE,
                1,
                Err("not a hold invoice"),
            ),
        ] {
            let decided = match settlement(record, preimage, height, now) {
                Ok(Settlement::Claim(record)) => {
                    assert_eq!(record.stored, Stored::Claiming, "{name}");
                    assert_eq!(record.preimage, Some(PREIMAGE), "{name}");
                    Ok(true)
                }
                Ok(Settlement::Claimed(_)) => Ok(false),
                Err(error) => Err(error.to_string()),
            };
            match (decided, expected) {
                (Ok(decided), Ok(expected)) => assert_eq!(decided, expected, "{name}"),
                (Err(words), Err(part)) => assert!(words.contains(part), "{name}: {words}"),
                (decided, expected) => panic!("{name}: {decided:?}, not {expected:?}"),
            }
        }
    }
}
