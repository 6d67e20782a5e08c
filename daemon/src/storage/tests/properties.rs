//! What the fuzz targets look for, over random bytes and over sound ones with some changed.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::storage::engine::backend::Write;
use crate::storage::engine::wal::frame;
use crate::storage::rows::codec;
use crate::storage::{JOURNAL_KIND, fuzz};

/// Bytes that were sound, with some changed, removed or put in.
fn spoilt(sound: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3u8);
    vec(change, 0..4).prop_map(move |changes| {
        let mut bytes = sound.clone();
        for (place, byte, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => drop(bytes.remove(place)),
                _ => bytes.insert(place, byte),
            }
        }
        bytes
    })
}

fn log_of_two() -> Vec<u8> {
    let put = |length: usize| Write { key: b"key"[..].into(), value: Some(vec![7; length].into()) };
    let mut file = Vec::new();
    for (number, length) in [(4, 10), (5, 5_000)] {
        let mut one = Vec::new();
        frame::encode(0x6675_6c6d_656e, number, &[put(length)], &mut one);
        file.extend(one);
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_log_file_is_read(bytes in prop_oneof![vec(any::<u8>(), 0..9_000), spoilt(log_of_two())]) {
        fuzz::log_file(&bytes);
    }

    #[test]
    fn damage_costs_the_frame_that_it_is_in(bytes in vec(any::<u8>(), 0..40)) {
        fuzz::damaged_log(&bytes);
    }

    #[test]
    fn any_row_is_read(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..40),
            spoilt(codec::encode_number(u64::MAX)),
            spoilt(codec::frame(1, JOURNAL_KIND, b"entry")),
        ],
    ) {
        fuzz::row(&bytes);
    }

    #[test]
    fn any_witness_is_read(bytes in vec(any::<u8>(), 0..600)) {
        fuzz::witness_slot(&bytes);
    }
}
