//! Reads invoices, one or many, in either direction.

use super::record::{self, INVOICES, InvoiceRecord, InvoiceState};
use super::{Error, Invoices};
use crate::listing::Filter;
use crate::storage::Page;

impl Invoices {
    /// Returns one invoice.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub fn get(&self, payment_hash: &[u8; 32]) -> Result<InvoiceRecord, Error> {
        self.0.book.get(payment_hash)?.ok_or(Error::Unknown)
    }

    /// Returns a page of the invoices that are wanted, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn page(
        &self,
        token: &[u8],
        limit: usize,
        state: Option<InvoiceState>,
        offer_id: Option<[u8; 32]>,
        wanted: &Filter,
    ) -> Result<Page<InvoiceRecord>, Error> {
        let now = self.now();
        let is_wanted = |record: &InvoiceRecord| {
            let offered = record.request.as_ref().map(|request| request.offer_id);
            state.is_none_or(|state| record.state(now) == state)
                && offer_id.is_none_or(|offer_id| offered == Some(offer_id))
        };
        Ok(INVOICES.list(&self.0.book.store, token, limit, wanted, is_wanted)?)
    }

    /// Returns at most `limit` invoices above position `after` that pass the filter, oldest first, with their positions.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn after(
        &self,
        after: u64,
        limit: usize,
        filter: impl Fn(&InvoiceRecord) -> bool,
    ) -> Result<Vec<(u64, InvoiceRecord)>, Error> {
        Ok(record::INVOICES.after(&self.0.book.store, after, limit, filter)?)
    }

    /// Returns at most `limit` invoices below position `before` that pass the filter, newest first, with their positions.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn before(
        &self,
        before: Option<u64>,
        limit: usize,
        filter: impl Fn(&InvoiceRecord) -> bool,
    ) -> Result<Vec<(u64, InvoiceRecord)>, Error> {
        Ok(record::INVOICES.before(&self.0.book.store, before, limit, filter)?)
    }
}
