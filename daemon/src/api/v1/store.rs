//! The `Store` service.

use std::path::{Path, PathBuf};

use fulmen_proto::v1;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use crate::api::status::{internal, malformed, refuse, stopping};
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::node::ldk::decode;
use crate::storage::{
    CheckReport, CompactReport, Error, ExportReport, JobUpdate, MirrorStatus, Progress,
    StatsReport, Store,
};

/// The longest path that is taken.
const MAX_PATH_BYTES: usize = 4_096;

/// Serves `fulmen.v1.Store`.
#[derive(Clone)]
pub struct StoreService {
    /// The store.
    pub store: Store,
    /// The data directory.
    pub directory: PathBuf,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::store_server::Store for StoreService {
    type CheckStream = ResponseStream<v1::CheckStoreUpdate>;
    type ExportStream = ResponseStream<v1::ExportStoreUpdate>;
    type CompactStream = ResponseStream<v1::CompactStoreUpdate>;

    async fn check(
        &self,
        _: Request<v1::CheckStoreRequest>,
    ) -> Result<Response<Self::CheckStream>, Status> {
        let updates = self.store.start_check(decode::stored);
        Ok(Response::new(stream(Checking(updates), self.stopping.clone())))
    }

    async fn stats(
        &self,
        _: Request<v1::StoreStatsRequest>,
    ) -> Result<Response<v1::StoreStatsResponse>, Status> {
        let report = self.store.stats_off_worker().await.map_err(|error| refusal(&error))?;
        let low_space = self.store.low_space().borrow().as_ref().map(ToString::to_string);
        Ok(Response::new(v1::StoreStatsResponse {
            directory: self.directory.display().to_string(),
            low_space: low_space.unwrap_or_default(),
            mirror: Some(mirror(&self.store.mirror().borrow())),
            ..stats(report)
        }))
    }

    async fn export(
        &self,
        request: Request<v1::ExportStoreRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let file = target(&request.into_inner().path, &self.directory)?;
        let exporting = Exporting { updates: self.store.start_export(file.clone()), file };
        Ok(Response::new(stream(exporting, self.stopping.clone())))
    }

    async fn compact(
        &self,
        _: Request<v1::CompactStoreRequest>,
    ) -> Result<Response<Self::CompactStream>, Status> {
        let updates = self.store.start_compact();
        Ok(Response::new(stream(Compacting(updates), self.stopping.clone())))
    }
}

/// A path that an export may be written to.
fn target(path: &str, directory: &Path) -> Result<PathBuf, Status> {
    let file = PathBuf::from(path);
    if path.len() > MAX_PATH_BYTES || path.contains('\0') {
        return Err(malformed("path", "is not a path"));
    }
    if !file.is_absolute() || file.file_name().is_none() {
        return Err(malformed("path", "the absolute path of a file is needed"));
    }
    // A restored or copied directory must not hold an old export beside its store.
    if file.starts_with(directory) {
        let whose = directory.display();
        return Err(malformed("path", format!("is in the data directory {whose} itself")));
    }
    Ok(file)
}

struct Checking(mpsc::Receiver<JobUpdate<CheckReport>>);

impl Steps for Checking {
    type Item = v1::CheckStoreUpdate;

    async fn next(&mut self) -> Result<Option<v1::CheckStoreUpdate>, Status> {
        self.0.recv().await.map(checked).transpose()
    }
}

fn checked(update: JobUpdate<CheckReport>) -> Result<v1::CheckStoreUpdate, Status> {
    match update {
        JobUpdate::Progress(Progress { rows, bytes }) => {
            Ok(v1::CheckStoreUpdate { rows, bytes, findings: None })
        }
        JobUpdate::Done(Ok(report)) => Ok(v1::CheckStoreUpdate {
            rows: report.rows,
            bytes: report.bytes,
            findings: Some(v1::StoreFindings {
                sound: report.is_sound(),
                decoded: report.decoded,
                problem_count: report.problem_count,
                problems: report.problems,
            }),
        }),
        JobUpdate::Done(Err(error)) => Err(refusal(&error)),
    }
}

struct Exporting {
    updates: mpsc::Receiver<JobUpdate<ExportReport>>,
    file: PathBuf,
}

impl Steps for Exporting {
    type Item = v1::ExportStoreUpdate;

    async fn next(&mut self) -> Result<Option<v1::ExportStoreUpdate>, Status> {
        match self.updates.recv().await {
            None => Ok(None),
            Some(update) => exported(update, &self.file).map(Some),
        }
    }
}

fn exported(update: JobUpdate<ExportReport>, file: &Path) -> Result<v1::ExportStoreUpdate, Status> {
    match update {
        JobUpdate::Progress(Progress { rows, bytes }) => {
            Ok(v1::ExportStoreUpdate { rows, bytes, commit: 0 })
        }
        JobUpdate::Done(Ok(ExportReport { writes, bytes, commit })) => {
            Ok(v1::ExportStoreUpdate { rows: writes, bytes, commit })
        }
        JobUpdate::Done(Err(error)) => Err(not_exported(&error, file)),
    }
}

/// What is wrong with the file is the caller's to mend; what is wrong with the store is not.
fn not_exported(error: &Error, file: &Path) -> Status {
    let is_the_file = |path: &Path| path.parent() == file.parent();
    match error {
        Error::BadExport { why, .. } => {
            refuse(Code::AlreadyExists, "FILE_EXISTS", format!("path: {why}"))
        }
        Error::DiskFull { path } if is_the_file(path) => refuse(
            Code::FailedPrecondition,
            "NO_SPACE",
            format!("path: no space left for the export on the disk of {}", path.display()),
        ),
        Error::Io { path, .. } if is_the_file(path) => {
            refuse(Code::FailedPrecondition, "CANNOT_WRITE", format!("path: {error}"))
        }
        error => refusal(error),
    }
}

struct Compacting(mpsc::Receiver<JobUpdate<CompactReport>>);

impl Steps for Compacting {
    type Item = v1::CompactStoreUpdate;

    async fn next(&mut self) -> Result<Option<v1::CompactStoreUpdate>, Status> {
        self.0.recv().await.map(compacted).transpose()
    }
}

fn compacted(update: JobUpdate<CompactReport>) -> Result<v1::CompactStoreUpdate, Status> {
    match update {
        JobUpdate::Progress(Progress { rows, bytes }) => {
            Ok(v1::CompactStoreUpdate { rows, bytes, ..Default::default() })
        }
        JobUpdate::Done(Ok(CompactReport { before_bytes, after_bytes })) => {
            Ok(v1::CompactStoreUpdate { before_bytes, after_bytes, ..Default::default() })
        }
        JobUpdate::Done(Err(error)) => Err(refusal(&error)),
    }
}

fn refusal(error: &Error) -> Status {
    match error {
        Error::Closed | Error::Cancelled => stopping(),
        Error::Busy { .. } => refuse(Code::FailedPrecondition, "BUSY", error.to_string()),
        Error::NoRoom { .. } => refuse(Code::FailedPrecondition, "NO_SPACE", error.to_string()),
        error => internal(error),
    }
}

fn stats(report: StatsReport) -> v1::StoreStatsResponse {
    let table = |table: crate::storage::TableStats| v1::StoreTable {
        name: table.name,
        rows: table.rows,
        bytes: table.bytes,
    };
    v1::StoreStatsResponse {
        tables: report.tables.into_iter().map(table).collect(),
        largest: report
            .largest
            .into_iter()
            .map(|(name, bytes)| v1::StoreValue { name, bytes })
            .collect(),
        live_bytes: report.live_bytes,
        disk_bytes: report.disk_bytes,
        commits: report.commits,
        schema: report.schema,
        since_start: report.since_start.map(|growth| v1::StoreGrowth {
            open_secs: growth.secs,
            commits: growth.commits,
            writes: growth.writes,
            written_bytes: growth.bytes,
            disk_bytes: growth.disk_bytes,
        }),
        ..Default::default()
    }
}

fn mirror(status: &MirrorStatus) -> v1::StoreMirror {
    use v1::store_mirror::State;
    let (state, why) = match status {
        MirrorStatus::Off => (State::Off, String::new()),
        MirrorStatus::InSync { .. } => (State::InStep, String::new()),
        MirrorStatus::Failed { why } => (State::Failed, why.clone()),
    };
    v1::StoreMirror { state: state.into(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_needs_a_place_of_its_own() {
        let data = Path::new("/home/node/.fulmen/bitcoin");
        assert_eq!(target("/backup/today", data).unwrap(), Path::new("/backup/today"));
        for path in ["", "today", "/", "/a/\0b", "/home/node/.fulmen/bitcoin/seed", "/a/.."] {
            let refused = target(path, data).expect_err(path);
            assert_eq!(refused.code(), Code::InvalidArgument, "{path}");
            assert!(refused.message().starts_with("path: "), "{}", refused.message());
        }
    }

    #[test]
    fn a_full_disk_of_the_export_is_not_the_stores() {
        let file = Path::new("/backup/today");
        let full = |path: &str| Error::DiskFull { path: path.into() };
        let status = not_exported(&full("/backup/today.partial"), file);
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().contains("/backup/today.partial"), "{}", status.message());
        assert_eq!(not_exported(&full("/data/sled/db"), file).code(), Code::Internal);
        assert_eq!(not_exported(&Error::Closed, file).code(), Code::Unavailable);
    }

    #[test]
    fn only_the_last_message_has_findings() {
        let step = checked(JobUpdate::Progress(Progress { rows: 1, bytes: 2 })).unwrap();
        assert_eq!((step.rows, step.bytes, step.findings), (1, 2, None));
        let report = CheckReport {
            rows: 3,
            problem_count: 1,
            problems: vec!["notes/key: it is damaged".to_owned()],
            ..CheckReport::default()
        };
        let findings = checked(JobUpdate::Done(Ok(report))).unwrap().findings.expect("the last");
        assert!(!findings.sound && findings.problems.len() == 1);
    }
}
