//! A snapshot of the store in one file, and the way back.
//!
//! The file is a list of writes to be applied in order: all rows as they were read, then every batch that was
//! committed meanwhile. A batch that changed a row while the rows were read thus corrects it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::storage::engine::backend::{Backend, Span, Write};
use crate::storage::engine::disk::sync_directory;
use crate::storage::engine::page::page;
use crate::storage::engine::progress::Progress;
use crate::storage::engine::writes;
use crate::storage::error::Error;
use crate::storage::rows::meta::COMMIT_SEQ;
use crate::storage::rows::{codec, keys};

const MAGIC: [u8; 8] = *b"fulmexp1";
/// Follows the last write.
const END: u8 = 3;
/// Writes applied at a time on the way back.
const BATCH_BYTES: usize = 4 << 20;

/// The contents of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Writes in the file.
    pub writes: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// The number of the last commit in it.
    pub commit: u64,
}

/// An export being written; it takes its name when it is whole.
pub(in crate::storage) struct Exporter {
    file: BufWriter<File>,
    path: PathBuf,
    sum: u32,
    report: ExportReport,
}

impl Exporter {
    /// Begins a file, readable by its owner alone: channel states are secrets. An older export under its name stays
    /// until the new one is whole.
    ///
    /// # Errors
    ///
    /// Refuses the name of an existing file that is not an export.
    pub(in crate::storage) fn create(path: &Path) -> Result<Self, Error> {
        if path.exists() && !begins_as_export(path) {
            let why = "it exists and is not an export, so it is not overwritten".to_owned();
            return Err(Error::BadExport { path: path.to_owned(), why });
        }
        let partial = partial(path);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let file = file.map_err(|error| Error::io("create", &partial, error))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let mut export =
            Self { file, path: path.to_owned(), sum: 0, report: ExportReport::default() };
        export.bytes(&MAGIC)?;
        Ok(export)
    }

    /// Adds all rows of a backend; after each page `meanwhile` may add what was committed during it.
    pub(in crate::storage) fn rows(
        &mut self,
        backend: &dyn Backend,
        mut meanwhile: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut rest = Span::prefix(&[]);
        loop {
            let (rows, next) = page(backend, &rest)?;
            for (key, value) in rows {
                self.write(&Write { key: key.into(), value: Some(value.into()) })?;
            }
            meanwhile(self)?;
            match next {
                Some(next) => rest.start = next,
                None => return Ok(()),
            }
        }
    }

    /// Writes and bytes so far.
    pub(in crate::storage) fn step(&self) -> Progress {
        Progress { rows: self.report.writes, bytes: self.report.bytes }
    }

    /// Adds one write.
    pub(in crate::storage) fn write(&mut self, write: &Write<'_>) -> Result<(), Error> {
        let value = write.value.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(writes::encoded_len(write));
        writes::encode(write, &mut bytes);
        self.bytes(&bytes)?;
        self.report.writes += 1;
        self.report.bytes += (write.key.len() + value.len()) as u64;
        if *write.key == keys::meta(COMMIT_SEQ) {
            self.report.commit = codec::decode_number(value).unwrap_or(self.report.commit);
        }
        Ok(())
    }

    /// Ends the file and gives it its name, durably.
    pub(in crate::storage) fn finish(mut self) -> Result<ExportReport, Error> {
        self.bytes(&[END])?;
        self.bytes(&self.report.writes.to_be_bytes())?;
        let sum = self.sum;
        self.bytes(&sum.to_be_bytes())?;
        let (partial, path) = (partial(&self.path), &self.path);
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        written.map_err(|error| Error::io("write", &partial, error))?;
        fs::rename(&partial, path).map_err(|error| Error::io("name", path, error))?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        Ok(self.report)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sum = crc32c::crc32c_append(self.sum, bytes);
        let written = self.file.write_all(bytes);
        written.map_err(|error| Error::io("write", &partial(&self.path), error))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // There is none any more when it has taken its name.
        let _ = fs::remove_file(partial(&self.path));
    }
}

/// Reads a whole export without applying it.
pub(in crate::storage) fn verify(path: &Path) -> Result<ExportReport, Error> {
    read(path, |_| Ok(()))
}

/// Applies an export to an empty backend.
pub(in crate::storage) fn apply(path: &Path, backend: &dyn Backend) -> Result<ExportReport, Error> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let report = read(path, |write| {
        bytes += write.key.len() + write.value.as_ref().map_or(0, |value| value.len());
        batch.push(write);
        if bytes < BATCH_BYTES {
            return Ok(());
        }
        bytes = 0;
        backend.commit(&std::mem::take(&mut batch))
    })?;
    backend.commit(&batch)?;
    Ok(report)
}

fn read(
    path: &Path,
    mut apply: impl FnMut(Write<'static>) -> Result<(), Error>,
) -> Result<ExportReport, Error> {
    let bad = |why: &str| Error::BadExport { path: path.to_owned(), why: why.to_owned() };
    let unread = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => bad("it ends in the middle"),
        _ => Error::io("read", path, error),
    };
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let length = file.metadata().map_err(unread)?.len();
    let mut file = Summed { file: BufReader::with_capacity(1 << 20, file), sum: 0 };
    if file.array::<8>().map_err(unread)? != MAGIC {
        return Err(bad("it does not begin as an export"));
    }
    let mut report = ExportReport::default();
    loop {
        let [op] = file.array::<1>().map_err(unread)?;
        if op == END {
            break;
        }
        let write = writes::decode(op, &mut file, length).map_err(unread)?;
        let write = write.ok_or_else(|| bad("a write in it is malformed"))?;
        let value = write.value.as_deref().unwrap_or_default();
        report.writes += 1;
        report.bytes += (write.key.len() + value.len()) as u64;
        if *write.key == keys::meta(COMMIT_SEQ) {
            report.commit = codec::decode_number(value).map_err(|error| bad(&error.to_string()))?;
        }
        apply(write)?;
    }
    let writes = u64::from_be_bytes(file.array().map_err(unread)?);
    let sum = file.sum;
    if u32::from_be_bytes(file.array().map_err(unread)?) != sum || writes != report.writes {
        return Err(bad("its checksum is wrong"));
    }
    Ok(report)
}

struct Summed<R> {
    file: R,
    sum: u32,
}

impl<R: Read> Summed<R> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes[..read]);
        Ok(read)
    }
}

fn begins_as_export(path: &Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == MAGIC
}

fn partial(path: &Path) -> PathBuf {
    path.with_added_extension("partial")
}
