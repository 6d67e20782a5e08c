//! The place of a database that is exchanged for another one while it is read.

use std::sync::{Arc, PoisonError, RwLock};

use crate::storage::error::Error;

/// A database, or why there is none any more.
pub(in crate::storage) struct Seat<B>(RwLock<Result<Arc<B>, Error>>);

/// A copy that is being made, or why it cannot be.
pub(in crate::storage) type Copying<B> = Option<Result<B, Error>>;

impl<B> Seat<B> {
    pub(in crate::storage) fn new(base: B) -> Self {
        Self(RwLock::new(Ok(Arc::new(base))))
    }

    /// The database of now; it is not exchanged while somebody holds it.
    pub(in crate::storage) fn get(&self) -> Result<Arc<B>, Error> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts what `make` makes of the database in its place if nobody reads it just now, else returns false; who comes
    /// meanwhile waits. When `make` fails, nobody reads any more.
    ///
    /// Nobody is kept waiting for those who read: they may read again while they read.
    pub(in crate::storage) fn try_exchange(
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
        let seat = Seat::new(1);
        let read = seat.get().unwrap();
        assert!(!seat.try_exchange(|old| Ok(old + 1)).unwrap());
        assert_eq!((*read, *seat.get().unwrap()), (1, 1));
        drop(read);
        assert!(seat.try_exchange(|old| Ok(old + 1)).unwrap());
        assert_eq!(*seat.get().unwrap(), 2);
        assert!(seat.try_exchange(|_| Err(Error::GivenUp)).is_err());
        assert!(matches!(seat.get(), Err(Error::GivenUp)));
        assert!(matches!(seat.try_exchange(Ok), Err(Error::GivenUp)) && seat.get().is_err());
    }
}
