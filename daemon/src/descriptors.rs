//! The limit of open file descriptors, and who gets them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that peers never get: for the store, the log, bitcoind and the API.
const RESERVED: u64 = 384;

/// Raises the soft limit of the process to its hard limit.
///
/// # Errors
/// The system refuses; then the soft limit stays as it was.
pub fn raise() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// Returns how many descriptors connections from peers may use.
pub fn for_peers() -> usize {
    share_of_peers(getrlimit(Resource::Nofile).current)
}

/// Leaves [`RESERVED`] to the others, but at least a quarter of the limit to peers; `None` is no limit.
fn share_of_peers(limit: Option<u64>) -> usize {
    let share = limit.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED).max(limit / 4));
    usize::try_from(share).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_get_what_is_not_reserved() {
        for (limit, share) in
            [(Some(256), 64), (Some(512), 128), (Some(1_024), 640), (None, usize::MAX)]
        {
            assert_eq!(share_of_peers(limit), share, "{limit:?}");
        }
    }
}
