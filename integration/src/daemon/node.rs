//! One daemon: created, started, asked over gRPC, stopped, killed, started again.
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use anyhow::{Context as _, Result, bail};
use fulmen_proto::dial::{Connection, dial};
use fulmen_proto::v1::backup_client::BackupClient;
use fulmen_proto::v1::channels_client::ChannelsClient;
use fulmen_proto::v1::events_client::EventsClient;
use fulmen_proto::v1::forwards_client::ForwardsClient;
use fulmen_proto::v1::graph_client::GraphClient;
use fulmen_proto::v1::invoices_client::InvoicesClient;
use fulmen_proto::v1::node_client::NodeClient;
use fulmen_proto::v1::offers_client::OffersClient;
use fulmen_proto::v1::payments_client::PaymentsClient;
use fulmen_proto::v1::peers_client::PeersClient;
use fulmen_proto::v1::store_client::StoreClient;
use fulmen_proto::v1::wallet_client::WalletClient;
use fulmen_proto::v1::{GetInfoRequest, GetInfoResponse};

use super::Settings;
use super::config::quoted;
use crate::binaries;
use crate::bitcoind::Bitcoind;
use crate::cli::Cli;
use crate::poll::{self, Look};
use crate::ports::Port;
use crate::process::Process;

/// A daemon with its directory and its port, which it keeps over restarts.
pub struct Node {
    name: String,
    dir: PathBuf,
    listen: Port,
    words: String,
    id: Vec<u8>,
    environment: Vec<(String, String)>,
    descriptors: Option<u64>,
    process: Option<Process>,
    connection: Option<Connection>,
}

impl Node {
    /// Makes the directory, the configuration and the seed; does not start the daemon.
    pub async fn create(
        name: &str,
        dir: &Path,
        bitcoind: &Bitcoind,
        settings: &Settings,
    ) -> Result<Self> {
        let mut node = Self::without_seed(name, dir, bitcoind, settings)?;
        node.words = node.make_seed().await?;
        Ok(node)
    }

    /// Makes the directory and the configuration; the seed is the caller's.
    pub fn without_seed(
        name: &str,
        dir: &Path,
        bitcoind: &Bitcoind,
        settings: &Settings,
    ) -> Result<Self> {
        let node = Self {
            name: name.to_owned(),
            dir: dir.to_owned(),
            listen: Port::reserve()?,
            words: String::new(),
            id: Vec::new(),
            environment: Vec::new(),
            descriptors: None,
            process: None,
            connection: None,
        };
        node.configure(bitcoind, settings)?;
        Ok(node)
    }

    /// Writes the configuration anew; it counts from the next start on.
    pub fn configure(&self, bitcoind: &Bitcoind, settings: &Settings) -> Result<()> {
        let mut all = settings.clone();
        all.set_text("node", "alias", &self.name);
        all.set("node", "listen", format!("[\"{}\"]", self.listen.address()));
        all.set("node", "announce_addresses", format!("[\"{}\"]", self.listen.address()));
        all.set_text("grpc", "listen", "127.0.0.1:0");
        let rpc = format!("127.0.0.1:{}", bitcoind.rpc_port());
        all.set_default("bitcoind", "rpc_address", quoted(&rpc));
        let cookie = bitcoind.cookie_file().display().to_string();
        all.set_default("bitcoind", "rpc_cookie_file", quoted(&cookie));
        // Regtest has no estimates; coins of tests are small.
        all.set_default("feerates", "fallback_urgent_sat_per_vb", 10);
        all.write(&self.dir.join("fulmen.toml"))
    }

    async fn make_seed(&self) -> Result<String> {
        let output = tokio::process::Command::new(&binaries::get()?.fulmend)
            .arg("create")
            .args(self.place())
            .output()
            .await
            .context("running fulmend create")?;
        if !output.status.success() {
            bail!(
                "fulmend create ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts the daemon (again) and waits until it answers.
    pub async fn launch(&mut self) -> Result<()> {
        self.spawn()?;
        self.reach().await
    }

    /// Starts the process only.
    pub fn spawn(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("{} runs already", self.name);
        }
        // What an earlier run left would lead us to a dead port.
        let _ = std::fs::remove_file(self.state_dir().join("grpc.address"));
        let program = &binaries::get()?.fulmend;
        let (place, log) = (self.place(), self.log());
        let process = Process::spawn_with(&self.name, program, place, &self.environment, &log)?;
        if let Some(limit) = self.descriptors {
            process.limit_descriptors(limit)?;
        }
        self.process = Some(process);
        Ok(())
    }

    /// What the process finds in its environment from the next start on.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// How many files and sockets the process may have open from the next start on, as `ulimit -Hn` sets it.
    pub fn set_descriptors(&mut self, limit: u64) {
        self.descriptors = Some(limit);
    }

    /// Waits until a spawned process answers.
    pub async fn reach(&mut self) -> Result<()> {
        let process = self.process()?;
        let (connection, info) = poll::eventually(&format!("{} answers", self.name), async || {
            // Nobody waits for a process that has ended.
            if let Err(ended) = process.must_run() {
                return Ok(Look::Done(Err(ended)));
            }
            let connection = self.dial_as("admin").await?;
            let info = NodeClient::new(connection.clone()).get_info(GetInfoRequest {}).await?;
            Ok(Look::Done(Ok((connection, info.into_inner()))))
        })
        .await??;
        self.id = info.node_id;
        self.connection = Some(connection);
        Ok(())
    }

    /// A new connection with one of the macaroons: `admin`, `readonly`, `invoice`.
    pub async fn dial_as(&self, macaroon: &str) -> Result<Connection> {
        let state = self.state_dir();
        let address = read(&state.join("grpc.address"))?;
        let address = String::from_utf8(address).context("grpc.address is text")?;
        let certificate = read(&state.join("tls.cert"))?;
        let macaroon = read(&state.join(format!("{macaroon}.macaroon")))?;
        Ok(dial(address.trim(), &certificate, &macaroon).await?)
    }

    /// SIGTERM; the daemon must end well.
    pub async fn stop(&mut self) -> Result<()> {
        self.connection = None;
        let Some(process) = self.process.take() else { return Ok(()) };
        let status = process.stop().await?;
        if !status.success() {
            bail!("{} stopped with {status}:\n{}", self.name, process.last_lines(15));
        }
        Ok(())
    }

    /// Waits for the process to end by itself, and says how.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let status = self.process()?.wait().await?;
        self.process = None;
        self.connection = None;
        Ok(status)
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.connection = None;
        self.process.take().map_or(Ok(()), |process| process.kill())
    }

    /// Stops and starts.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch().await
    }

    /// The process, where it runs.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))
    }

    /// Whether we have started it and not stopped it.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Its alias.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its node id, 33 bytes; known from the first start on.
    pub fn id(&self) -> Vec<u8> {
        self.id.clone()
    }

    /// Where peers reach it.
    pub fn address(&self) -> String {
        self.listen.address()
    }

    /// `NODE_ID@HOST:PORT`.
    pub fn uri(&self) -> String {
        format!("{}@{}", crate::cli::hex(&self.id), self.address())
    }

    /// The directory given with `--dir`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What lies in it for the network.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("regtest")
    }

    /// The process's output.
    pub fn log(&self) -> PathBuf {
        self.dir.join("fulmend.log")
    }

    /// What `fulmend create` printed: the seed is in it.
    pub fn creation_output(&self) -> &str {
        &self.words
    }

    /// The 24 words of the sheet that `fulmend create` printed, in their order.
    pub fn seed_words(&self) -> String {
        let mut numbered: Vec<(u32, &str)> = Vec::new();
        let mut tokens = self.words.split_whitespace().peekable();
        while let Some(token) = tokens.next() {
            let number = token.strip_suffix('.').and_then(|number| number.parse().ok());
            if let (Some(number), Some(word)) = (number, tokens.peek()) {
                numbered.push((number, word));
            }
        }
        numbered.sort_unstable();
        numbered.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ")
    }

    /// The CLI, pointed at this daemon.
    pub fn cli(&self) -> Result<Cli> {
        Ok(Cli::new(&binaries::get()?.fulmen, &self.dir))
    }

    /// The arguments that say whose directory and which network.
    pub fn place(&self) -> [String; 4] {
        let dir = self.dir.display().to_string();
        ["--dir".to_owned(), dir, "--network".to_owned(), "regtest".to_owned()]
    }

    fn connection(&self) -> Connection {
        let absent = || panic!("the scenario asks {}, which does not run", self.name);
        self.connection.clone().unwrap_or_else(absent)
    }

    /// `fulmen.v1.Node`.
    pub fn node(&self) -> NodeClient<Connection> {
        NodeClient::new(self.connection())
    }

    /// `fulmen.v1.Wallet`.
    pub fn wallet(&self) -> WalletClient<Connection> {
        WalletClient::new(self.connection())
    }

    /// `fulmen.v1.Backup`.
    pub fn backup(&self) -> BackupClient<Connection> {
        BackupClient::new(self.connection())
    }

    /// `fulmen.v1.Peers`.
    pub fn peers(&self) -> PeersClient<Connection> {
        PeersClient::new(self.connection())
    }

    /// `fulmen.v1.Channels`.
    pub fn channels(&self) -> ChannelsClient<Connection> {
        ChannelsClient::new(self.connection())
    }

    /// `fulmen.v1.Invoices`.
    pub fn invoices(&self) -> InvoicesClient<Connection> {
        InvoicesClient::new(self.connection())
    }

    /// `fulmen.v1.Offers`.
    pub fn offers(&self) -> OffersClient<Connection> {
        OffersClient::new(self.connection())
    }

    /// `fulmen.v1.Payments`.
    pub fn payments(&self) -> PaymentsClient<Connection> {
        PaymentsClient::new(self.connection())
    }

    /// `fulmen.v1.Forwards`.
    pub fn forwards(&self) -> ForwardsClient<Connection> {
        ForwardsClient::new(self.connection())
    }

    /// `fulmen.v1.Graph`.
    pub fn graph(&self) -> GraphClient<Connection> {
        GraphClient::new(self.connection())
    }

    /// `fulmen.v1.Events`.
    pub fn events(&self) -> EventsClient<Connection> {
        EventsClient::new(self.connection())
    }

    /// `fulmen.v1.Store`.
    pub fn store(&self) -> StoreClient<Connection> {
        StoreClient::new(self.connection())
    }

    /// `Node.GetInfo`.
    pub async fn info(&self) -> Result<GetInfoResponse> {
        let answer = self.node().get_info(GetInfoRequest {}).await;
        Ok(answer.with_context(|| format!("{}: GetInfo", self.name))?.into_inner())
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}
