//! Which invoices may be forgotten: those that nobody can pay any more.

use super::Invoices;
use super::record::{InvoiceRecord, Stored};
use crate::storage::{PruneDecision, RetentionClass};

impl Invoices {
    /// Invoices that nobody paid, kept for so many days after they expired; 0 forever.
    pub fn unpaid_history(&self, keep_days: u32) -> RetentionClass {
        let invoices = self.clone();
        RetentionClass::new("unpaid invoices", keep_days, move |before, from| {
            invoices.0.book.forget(from, |record| decide_unpaid(record, before))
        })
    }

    /// Invoices and keysends that were paid, kept for so many days; 0 forever.
    pub fn settled_history(&self, keep_days: u32) -> RetentionClass {
        let invoices = self.clone();
        RetentionClass::new("settled invoices", keep_days, move |before, from| {
            invoices.0.book.forget(from, |record| decide_settled(record, before))
        })
    }
}

/// A cancelled one stays until it would have expired: so long its hash is not to be taken for another one.
fn decide_unpaid(record: &InvoiceRecord, before: u64) -> PruneDecision {
    let is_over = match record.stored {
        Stored::Open | Stored::Cancelled => record.expires_at < before,
        // Money is on its way, or came.
        Stored::Arrived | Stored::Accepted | Stored::Claiming | Stored::Settled => false,
    };
    decide(record, before, is_over)
}

/// One that has not expired stays: its payer, who may pay again, learns that it was paid.
fn decide_settled(record: &InvoiceRecord, before: u64) -> PruneDecision {
    let is_over = match record.stored {
        Stored::Settled => {
            record.expires_at < before && record.settled_at.is_some_and(|at| at < before)
        }
        Stored::Open
        | Stored::Arrived
        | Stored::Accepted
        | Stored::Cancelled
        | Stored::Claiming => false,
    };
    decide(record, before, is_over)
}

fn decide(record: &InvoiceRecord, before: u64, is_over: bool) -> PruneDecision {
    match (record.created_at < before, is_over) {
        (false, _) => PruneDecision::Stop,
        (true, true) => PruneDecision::Remove,
        (true, false) => PruneDecision::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoices::record::tests::whole;

    #[test]
    fn each_class_has_its_own_age() {
        let settled =
            InvoiceRecord { created_at: 10, expires_at: 20, settled_at: Some(15), ..whole() };
        let with = |stored| InvoiceRecord { stored, settled_at: None, ..settled.clone() };
        let keysend = InvoiceRecord { expires_at: 10, ..settled.clone() };
        let late = InvoiceRecord { settled_at: Some(21), ..settled.clone() };
        use PruneDecision::{Keep, Remove, Stop};
        for (name, record, before, unpaid, paid) in [
            ("expired", with(Stored::Open), 21, Remove, Keep),
            ("open", with(Stored::Open), 20, Keep, Keep),
            ("cancelled", with(Stored::Cancelled), 21, Remove, Keep),
            ("cancelled before it expired", with(Stored::Cancelled), 20, Keep, Keep),
            ("being paid", with(Stored::Claiming), 21, Keep, Keep),
            ("held", with(Stored::Accepted), 21, Keep, Keep),
            ("paid", settled.clone(), 21, Keep, Remove),
            ("paid, not expired", settled.clone(), 20, Keep, Keep),
            ("paid in the last moment", late, 21, Keep, Keep),
            ("keysend", keysend, 16, Keep, Remove),
            ("new", settled, 10, Stop, Stop),
        ] {
            let decisions = (decide_unpaid(&record, before), decide_settled(&record, before));
            assert_eq!(decisions, (unpaid, paid), "{name}");
        }
    }
}
