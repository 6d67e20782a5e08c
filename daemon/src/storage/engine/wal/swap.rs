//! A database that is swapped for another one while it is in use.

use std::sync::{Arc, PoisonError, RwLock};

use crate::storage::error::Error;

/// The current database. A reader keeps the one that it began with, which is closed after its last reader.
pub(in crate::storage) struct Swappable<B>(RwLock<Arc<B>>);

/// A copy that is being filled, or why it cannot be.
pub(in crate::storage) type Copying<B> = Option<Result<Arc<B>, Error>>;

impl<B> Swappable<B> {
    pub(in crate::storage) fn new(base: B) -> Self {
        Self(RwLock::new(Arc::new(base)))
    }

    /// The current database.
    pub(in crate::storage) fn get(&self) -> Arc<B> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives later readers another database, which has every row of the current one.
    pub(in crate::storage) fn swap(&self, new: Arc<B>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_the_database_that_it_began_with() {
        let database = Swappable::new(1);
        let read = database.get();
        database.swap(Arc::new(2));
        assert_eq!((*read, *database.get()), (1, 2));
    }
}
