//! A database that can be swapped for another one while it is in use.

use std::sync::{Arc, PoisonError, RwLock};

use crate::storage::error::Error;

/// A database, or the reason why it is gone.
pub(in crate::storage) struct Swappable<B>(RwLock<Result<Arc<B>, Error>>);

/// A copy that is being made, or why it cannot be.
pub(in crate::storage) type Copying<B> = Option<Result<B, Error>>;

impl<B> Swappable<B> {
    pub(in crate::storage) fn new(base: B) -> Self {
        Self(RwLock::new(Ok(Arc::new(base))))
    }

    /// The current database; it is not swapped while the handle is held.
    pub(in crate::storage) fn get(&self) -> Result<Arc<B>, Error> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the database by what `make` returns for it, or returns false when a reader holds it; readers that arrive
    /// meanwhile wait. When `make` fails, later reads fail with its error.
    ///
    /// It never waits for readers: a reader may open a second read within its first, which would deadlock.
    pub(in crate::storage) fn try_swap(
        &self,
        make: impl FnOnce(B) -> Result<B, Error>,
    ) -> Result<bool, Error> {
        let mut seat = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let base = seat.clone()?;
        *seat = Err(Error::Closed);
        match Arc::try_unwrap(base) {
            Ok(alone) => {
                *seat = make(alone).map(Arc::new);
                seat.as_ref().map(|_| true).map_err(Error::clone)
            }
            Err(read) => {
                *seat = Ok(read);
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_exchanged_between_readers_and_never_under_one() {
        let seat = Swappable::new(1);
        let read = seat.get().unwrap();
        assert!(!seat.try_swap(|old| Ok(old + 1)).unwrap());
        assert_eq!((*read, *seat.get().unwrap()), (1, 1));
        drop(read);
        assert!(seat.try_swap(|old| Ok(old + 1)).unwrap());
        assert_eq!(*seat.get().unwrap(), 2);
        assert!(seat.try_swap(|_| Err(Error::Cancelled)).is_err());
        assert!(matches!(seat.get(), Err(Error::Cancelled)));
        assert!(matches!(seat.try_swap(Ok), Err(Error::Cancelled)) && seat.get().is_err());
    }
}
