//! Runs the CLI as a person or a script does.
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

/// `fulmen`, pointed at a daemon's directory.
#[derive(Clone, Debug)]
pub struct Cli {
    binary: PathBuf,
    dir: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

impl Cli {
    /// The CLI for the daemon whose `--dir` is `dir`.
    pub fn new(binary: &Path, dir: &Path) -> Self {
        Self { binary: binary.to_owned(), dir: dir.to_owned() }
    }

    /// Runs it to its end, however that is.
    pub async fn run<A: AsRef<str>>(&self, arguments: &[A]) -> Result<Ran> {
        self.run_with_input(arguments, "").await
    }

    /// Runs it to its end on what somebody typed.
    pub async fn run_with_input<A: AsRef<str>>(&self, arguments: &[A], typed: &str) -> Result<Ran> {
        let mut child = tokio::process::Command::new(&self.binary)
            .arg("--dir")
            .arg(&self.dir)
            .args(["--network", "regtest"])
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        let mut input = child.stdin.take().context("standard input is piped")?;
        // A command that reads no input may have ended before it is written.
        let _ = input.write_all(typed.as_bytes()).await;
        drop(input);
        let output = child.wait_with_output().await.context("waiting for fulmen")?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it; it must succeed. What it printed.
    pub async fn ok<A: AsRef<str>>(&self, arguments: &[A]) -> Result<String> {
        let ran = self.run(arguments).await?;
        if ran.code != 0 {
            bail!("fulmen {}: exit {}: {}", line(arguments), ran.code, ran.stderr.trim());
        }
        Ok(ran.stdout)
    }

    /// Runs it with `--json`; it must succeed. The last document that it printed.
    pub async fn json<A: AsRef<str>>(&self, arguments: &[A]) -> Result<Value> {
        let mut with_json: Vec<&str> = vec!["--json"];
        with_json.extend(arguments.iter().map(AsRef::as_ref));
        let text = self.ok(&with_json).await?;
        serde_json::Deserializer::from_str(&text)
            .into_iter::<Value>()
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("fulmen {}: not JSON: {text}", line(arguments)))?
            .pop()
            .with_context(|| format!("fulmen {}: printed nothing", line(arguments)))
    }

    /// Runs it; it must fail with this exit code. What it complained.
    pub async fn fails<A: AsRef<str>>(&self, code: i32, arguments: &[A]) -> Result<String> {
        let ran = self.run(arguments).await?;
        if ran.code != code {
            bail!(
                "fulmen {}: exit {} instead of {code}: {}{}",
                line(arguments),
                ran.code,
                ran.stdout,
                ran.stderr
            );
        }
        Ok(ran.stderr)
    }
}

fn line<A: AsRef<str>>(arguments: &[A]) -> String {
    arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

/// Bytes as the CLI shows them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The other way round.
pub fn unhex(text: &str) -> Result<Vec<u8>> {
    let byte = |at| u8::from_str_radix(text.get(at..at + 2).unwrap_or_default(), 16);
    let bytes = (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>();
    bytes.with_context(|| format!("{text} is not hex"))
}
