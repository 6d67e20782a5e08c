//! The `Backup` service.

use fulmen_proto::v1;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::view::ids;
use crate::api::status::{internal, malformed, refuse, stopping};
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::backup::contents::BackedUpChannel;
use crate::backup::status::{self, Fate, KnownFrom, Lost, Progress, Recovered};
use crate::backup::{Backup, Error, Sealed};

/// Serves `fulmen.v1.Backup`.
#[derive(Clone)]
pub struct BackupService {
    /// The room that it serves.
    pub backup: Backup,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::backup_server::Backup for BackupService {
    type SubscribeStream = ResponseStream<v1::ChannelBackup>;

    async fn export(
        &self,
        _: Request<v1::ExportBackupRequest>,
    ) -> Result<Response<v1::ChannelBackup>, Status> {
        Ok(Response::new(backup(self.backup.export().await.map_err(refusal)?)))
    }

    async fn subscribe(
        &self,
        _: Request<v1::SubscribeBackupsRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let mut newest = self.backup.subscribe();
        newest.mark_changed();
        Ok(Response::new(stream(Backups(newest), self.stopping.clone())))
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyBackupRequest>,
    ) -> Result<Response<v1::VerifyBackupResponse>, Status> {
        let contents = self.backup.verify(&request.into_inner().sealed).map_err(refusal)?;
        Ok(Response::new(v1::VerifyBackupResponse {
            node_id: contents.node_id.serialize().to_vec(),
            created_at: contents.created_at,
            channels: contents.channels.into_iter().map(channel).collect(),
        }))
    }

    async fn restore(
        &self,
        request: Request<v1::RestoreBackupRequest>,
    ) -> Result<Response<v1::RestoreBackupResponse>, Status> {
        let sealed = request.into_inner().sealed;
        let channels = self.backup.verify(&sealed).map_err(refusal)?.channels.len();
        let newly_lost = self.backup.restore(&sealed).await.map_err(refusal)?;
        Ok(Response::new(v1::RestoreBackupResponse {
            channels: count(channels),
            newly_lost: count(newly_lost),
        }))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetBackupStatusRequest>,
    ) -> Result<Response<v1::BackupStatus>, Status> {
        let status::Status { searched_height, lost, recovered } =
            self.backup.status().map_err(refusal)?;
        let ours = recovered.iter().filter(|output| output.fate != Fate::Spent);
        Ok(Response::new(v1::BackupStatus {
            searched_height,
            recovered_sat: ours.map(|output| output.amount.to_sat()).sum(),
            lost: lost.into_iter().map(lost_channel).collect(),
            recovered: recovered.iter().map(recovered_output).collect(),
        }))
    }
}

/// Each backup as it is written.
struct Backups(watch::Receiver<Option<Sealed>>);

impl Steps for Backups {
    type Item = v1::ChannelBackup;

    async fn next(&mut self) -> Result<Option<v1::ChannelBackup>, Status> {
        loop {
            self.0.changed().await.map_err(|_| stopping())?;
            if let Some(sealed) = self.0.borrow_and_update().clone() {
                return Ok(Some(backup(sealed)));
            }
        }
    }
}

fn backup(sealed: Sealed) -> v1::ChannelBackup {
    let Sealed { bytes, created_at, channels } = sealed;
    v1::ChannelBackup { sealed: bytes, created_at, channels: count(channels.len()) }
}

fn channel(channel: BackedUpChannel) -> v1::BackedUpChannel {
    v1::BackedUpChannel {
        channel_id: channel.channel_id.0.to_vec(),
        funding: Some(ids::outpoint(&channel.funding)),
        node_id: channel.node_id.serialize().to_vec(),
        addresses: channel.addresses,
        capacity_sat: channel.capacity_sat,
        short_channel_id: channel.short_channel_id.unwrap_or(0),
    }
}

fn lost_channel(lost: Lost) -> v1::LostChannel {
    use v1::lost_channel::{KnownFrom as From, State};
    let Lost { funding, channel, progress } = lost;
    let (state, last_error) = match progress {
        Progress::PeerAway { last_error } => (State::PeerAway, last_error),
        Progress::Asked => (State::Asked, None),
        Progress::Closed => (State::Closed, None),
    };
    let known_from = match channel.known_from {
        KnownFrom::Backup => From::Backup,
        KnownFrom::Gossip => From::Gossip,
    };
    v1::LostChannel {
        channel_id: channel.id(&funding).0.to_vec(),
        funding: Some(ids::outpoint(&funding)),
        node_id: channel.node_id.serialize().to_vec(),
        capacity_sat: channel.capacity_sat,
        short_channel_id: channel.short_channel_id.unwrap_or(0),
        known_from: known_from.into(),
        noticed_at: channel.noticed_at,
        state: state.into(),
        last_error: last_error.unwrap_or_default(),
    }
}

fn recovered_output(output: &Recovered) -> v1::RecoveredOutput {
    use v1::recovered_output::State;
    let state = match output.fate {
        Fate::Found => State::Found,
        Fate::Swept => State::Swept,
        Fate::Spent => State::Spent,
    };
    v1::RecoveredOutput {
        outpoint: Some(ids::outpoint(&output.outpoint)),
        funding: Some(ids::outpoint(&output.funding)),
        amount_sat: output.amount.to_sat(),
        height: output.height,
        state: state.into(),
        sweep_txid: output.sweep_txid.map(|txid| ids::txid_bytes(&txid)).unwrap_or_default(),
        swept_height: output.swept_at.unwrap_or(0),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn refusal(error: Error) -> Status {
    match error {
        Error::Refused(why) => malformed("sealed", why),
        Error::NotYet => refuse(Code::Unavailable, "NO_BACKUP_YET", error.to_string()),
        Error::NoKey | Error::NotSwept | Error::Peers(_) | Error::Store(_) => internal(&error),
    }
}
