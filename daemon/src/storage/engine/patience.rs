//! Patience with errors that pass by themselves.

use std::time::{Duration, Instant};

use super::disk::pause;
use crate::storage::error::Error;

/// How long an operation is tried again that fails for want of descriptors or memory.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Repeats an operation while its error is transient, for half a minute at most; it must be safe to repeat.
pub(in crate::storage) fn patiently<T>(
    mut operation: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut since = None;
    loop {
        match operation() {
            Err(error) if error.is_transient() => {
                let first = since.is_none();
                if since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                    return Err(error);
                }
                if first {
                    tracing::warn!(%error, "trying again");
                }
                pause(PAUSE);
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn transient_errors_are_waited_out_and_others_are_not() {
        for (errno, survives) in [(Errno::MFILE, true), (Errno::NOMEM, true), (Errno::IO, false)] {
            let mut tries = 0;
            let done = patiently(|| {
                tries += 1;
                if tries < 3 {
                    Err(Error::io("write", Path::new("/x"), errno.into()))
                } else {
                    Ok(())
                }
            });
            assert_eq!((done.is_ok(), tries), (survives, if survives { 3 } else { 1 }), "{errno}");
        }
    }
}
