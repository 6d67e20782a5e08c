//! Cuts what goes into sled into pieces, each of which is synced before the next.
//!
//! sled gives a segment of its file to new rows once the rows that replaced its old ones are written, synced or not. A
//! power cut could then lose both, and the log has only the newest batches. It cannot when less than a segment is written
//! between two syncs: a segment that became free since the last sync is given away at the next but one boundary at the
//! earliest. sled was seen to write up to sixteen times the bytes that it was given, hence half a segment here.

use super::backend::Write;

/// The longest piece, in bytes of keys and values.
const PIECE_BYTES: usize = 32 << 10;
/// Short rows cost sled more than their bytes: each may let it write a page.
const PIECE_WRITES: usize = 64;

/// The pieces of a batch, in its order.
pub(in crate::storage) fn pieces<'a>(
    mut batch: &'a [Write<'a>],
) -> impl Iterator<Item = &'a [Write<'a>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |write: &&Write<'_>| {
            bytes += write.key.len() + write.value.as_ref().map_or(0, |value| value.len());
            bytes <= PIECE_BYTES
        };
        let count = batch.iter().take_while(fits).count().clamp(1, PIECE_WRITES);
        let (piece, rest) = batch.split_at_checked(count)?;
        batch = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_is_in_one_piece_in_order() {
        let write = |number: u32, bytes: usize| Write {
            key: number.to_be_bytes().to_vec().into(),
            value: Some(vec![0; bytes].into()),
        };
        for (count, bytes, expected) in [(0, 1, 0), (1, 100_000, 1), (9, 8_192, 3), (129, 1, 3)] {
            let batch: Vec<_> = (0..count).map(|number| write(number, bytes)).collect();
            let cut: Vec<_> = pieces(&batch).collect();
            assert_eq!(cut.len(), expected, "{count} of {bytes}");
            assert_eq!(cut.concat(), batch);
        }
    }
}
