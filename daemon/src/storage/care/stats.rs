//! Sizes of tables, of the largest values, and of the database.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::storage::commit::times::Growth;
use crate::storage::engine::backend::{Backend, Direction, Span};
use crate::storage::error::Error;
use crate::storage::rows::chunks::Manifest;
use crate::storage::rows::meta::last_commit;
use crate::storage::rows::{keys, schema};

/// How many of the largest values are named.
const LARGEST: usize = 10;

/// Sizes of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsReport {
    /// By table, index or namespace, in order of their names.
    pub tables: Vec<TableStats>,
    /// The largest values with their sizes in bytes, largest first.
    pub largest: Vec<(String, u64)>,
    /// Bytes of keys and values.
    pub live_bytes: u64,
    /// Bytes that the database takes on disk.
    pub disk_bytes: u64,
    /// How many group commits there ever were.
    pub commits: u64,
    /// The version of the schema.
    pub schema: u64,
    /// Group commits since this process opened the store, with their writes and bytes; none when it was not running.
    pub since_start: Option<Growth>,
}

/// The size of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Its name, such as `payments`, `the index of payments`, or `monitors`.
    pub name: String,
    /// Its rows, a chunked value being one.
    pub rows: u64,
    /// Bytes of its keys and values.
    pub bytes: u64,
}

/// Measures every row.
pub(in crate::storage) fn measure(
    backend: &dyn Backend,
    since_start: Option<Growth>,
) -> Result<StatsReport, Error> {
    let mut tables = BTreeMap::<String, TableStats>::new();
    let (mut largest, mut live_bytes) = (Vec::new(), 0);
    backend.scan(&Span::prefix(&[]), Direction::Forward, &mut |key, value| {
        let bytes = (key.len() + value.len()) as u64;
        live_bytes += bytes;
        let owner = keys::parse_chunk(key).filter(|_| key.first() == Some(&keys::CHUNK));
        let name = keys::family(owner.map_or(key, |(owner, _)| owner));
        let table = tables.entry(name).or_default();
        table.bytes += bytes;
        if owner.is_none() {
            table.rows += 1;
            let manifest = Manifest::decode(value).ok().flatten();
            let size = manifest.map_or(value.len() as u64, |manifest| manifest.bytes);
            note_largest(&mut largest, key, size);
        }
        ControlFlow::Continue(())
    })?;
    let tables = tables.into_iter().map(|(name, table)| TableStats { name, ..table }).collect();
    let largest = largest.into_iter().map(|(size, key)| (keys::place(&key), size)).collect();
    Ok(StatsReport {
        tables,
        largest,
        live_bytes,
        disk_bytes: backend.disk_bytes()?,
        commits: last_commit(backend)?,
        schema: schema::version(backend)?,
        since_start,
    })
}

fn note_largest(largest: &mut Vec<(u64, Vec<u8>)>, key: &[u8], size: u64) {
    if largest.len() == LARGEST && largest.last().is_some_and(|(smallest, _)| size <= *smallest) {
        return;
    }
    let place = largest.partition_point(|(other, _)| *other >= size);
    largest.insert(place, (size, key.to_vec()));
    largest.truncate(LARGEST);
}
