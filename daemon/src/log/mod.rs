//! The log: lines for people or machines on standard error, and in files that are rotated.
//!
//! Nobody waits for a file: lines go through a bounded queue to a thread of their own, and what a slow or
//! full disk does not take is dropped and counted.

mod config;
mod file;
mod panics;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt as _};

pub use self::config::{Config, Format};
pub use self::panics::report_panics;

use self::file::RotatedFile;
use crate::tasks;

/// Lines that may wait for the disk.
const QUEUE: usize = 4_096;
/// How long the end of the process waits for the last lines.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is wrong.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// There is no thread for the files.
    #[error("could not start the thread that writes the log: {0}")]
    Thread(#[source] io::Error),
}

/// The running log.
pub struct Log {
    files: Option<ToFiles>,
}

/// Installs the subscriber of `tracing`; log files are in `folder`.
pub fn start(config: &Config, folder: &Path) -> Result<Log, Error> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let files = match config.files {
        0 => None,
        files => {
            let path = folder.join("fulmend.log");
            Some(to_files(RotatedFile::new(path, config.file_bytes, files))?)
        }
    };
    let writer = match (&files, config.stderr) {
        (Some(files), true) => BoxMakeWriter::new(io::stderr.and(files.clone())),
        (Some(files), false) => BoxMakeWriter::new(files.clone()),
        (None, _) => BoxMakeWriter::new(io::stderr),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match config.format {
        Format::Text => log.with_ansi(false).init(),
        Format::Json => log.json().init(),
    }
    Ok(Log { files })
}

impl Log {
    /// Ends the log with a last line, which has been written to standard error already.
    pub fn end(self, last_line: &str) {
        let Some(files) = self.files else { return };
        if !last_line.is_empty() {
            files.send(format!("{last_line}\n").as_bytes());
        }
        let (written, wait) = sync_channel(1);
        if files.queue.try_send(Message::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_DEADLINE);
        }
    }
}

enum Message {
    Line(Vec<u8>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// Writes lines to the files without ever waiting for them.
#[derive(Clone)]
struct ToFiles {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

fn to_files(file: RotatedFile) -> Result<ToFiles, Error> {
    let (queue, lines) = sync_channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let files = ToFiles { queue, dropped: dropped.clone() };
    tasks::thread("log", move || write_lines(file, &lines, &dropped)).map_err(Error::Thread)?;
    Ok(files)
}

fn write_lines(mut file: RotatedFile, lines: &Receiver<Message>, dropped: &AtomicU64) {
    loop {
        let message = match lines.recv_timeout(Duration::from_secs(3_600)) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        match message {
            Message::Line(line) => {
                let lost = dropped.swap(0, Ordering::Relaxed);
                let told = match lost {
                    0 => true,
                    lost => file.append(format!("{lost} lines are missing here\n").as_bytes()),
                };
                if !told || !file.append(&line) {
                    dropped.fetch_add(if told { 1 } else { lost + 1 }, Ordering::Relaxed);
                }
            }
            Message::Flush(written) => drop(written.try_send(())),
        }
    }
}

impl ToFiles {
    fn send(&self, line: &[u8]) {
        match self.queue.try_send(Message::Line(line.to_vec())) {
            Ok(()) => (),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl io::Write for ToFiles {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for ToFiles {
    type Writer = ToFiles;

    fn make_writer(&'a self) -> ToFiles {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_arrive_in_order_and_the_last_one_before_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("fulmend.log");
        let mut files = to_files(RotatedFile::new(path.clone(), 1_000_000, 2)).expect("a thread");
        for number in 0..1_000 {
            files.write_all(format!("line {number}\n").as_bytes()).expect("never fails");
        }
        Log { files: Some(files) }.end("fulmend: the end");
        let text = std::fs::read_to_string(path).expect("there");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[999]), (1_001, "line 0", "line 999"));
        assert_eq!(lines[1_000], "fulmend: the end");
    }

    #[test]
    fn what_the_disk_does_not_take_is_dropped_counted_and_never_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("absent");
        let path = folder.join("fulmend.log");
        let mut files = to_files(RotatedFile::new(path.clone(), 1_000_000, 2)).expect("a thread");
        for _ in 0..3 {
            files.write_all(b"lost\n").expect("never fails");
        }
        let (written, wait) = sync_channel(1);
        files.queue.send(Message::Flush(written)).expect("the thread runs");
        wait.recv().expect("it has come so far");
        std::fs::create_dir(&folder).expect("made");
        files.write_all(b"kept\n").expect("never fails");
        Log { files: Some(files) }.end("");
        let text = std::fs::read_to_string(path).expect("there");
        assert_eq!(text, "3 lines are missing here\nkept\n");
    }
}
