//! Child processes that end with us: a log for each, a graceful stop, a kill.
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::poll;

/// How long a process may take to stop gracefully before the harness calls that a failure.
pub const GRACE: Duration = Duration::from_secs(30);

/// A running (or ended) child.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Mutex<Child>,
    pid: u32,
}

impl Process {
    /// Starts `program`, with both outputs appended to `log`.
    pub fn spawn<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Self> {
        Self::spawn_with(name, program, arguments, &[], log)
    }

    /// [`Process::spawn`] with more in the environment.
    pub fn spawn_with<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(String, String)],
        log: &Path,
    ) -> Result<Self> {
        let output = append_to(log)?;
        let errors = output.try_clone().context("sharing a log file")?;
        let child = Command::new(program)
            .args(arguments)
            .env("RUST_BACKTRACE", "1")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("starting {name}: {}", program.display()))?;
        let pid = child.id();
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child: Mutex::new(child), pid })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its outputs go.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Limits its open files, soft and hard, from now on.
    pub fn limit_descriptors(&self, limit: u64) -> Result<()> {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        prlimit(pid, Resource::Nofile, limit)
            .map(drop)
            .with_context(|| format!("limiting the open files of {}", self.name))
    }

    /// How many files and sockets it has open.
    pub fn open_descriptors(&self) -> Result<usize> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.pid));
        Ok(entries.with_context(|| format!("counting the open files of {}", self.name))?.count())
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        self.child().try_wait().with_context(|| format!("asking after {}", self.name))
    }

    /// Fails with the end of the log when the process is gone.
    pub fn must_run(&self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => {
                bail!(
                    "{} has ended ({status}); its last lines:\n{}",
                    self.name,
                    self.last_lines(15)
                )
            }
        }
    }

    /// The last lines of the log.
    pub fn last_lines(&self, count: usize) -> String {
        last_lines(&self.log, count)
    }

    /// SIGTERM, and patience; an error if it does not go.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait().await
    }

    /// Waits for the process to end by itself.
    pub async fn wait(&self) -> Result<ExitStatus> {
        poll::eventually_within(GRACE, &format!("{} stops", self.name), async || {
            Ok(match self.ended()? {
                Some(status) => poll::Look::Done(status),
                None => poll::Look::NotYet(self.last_lines(5)),
            })
        })
        .await
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child();
        child.kill().with_context(|| format!("killing {}", self.name))?;
        child.wait().with_context(|| format!("reaping {}", self.name))?;
        Ok(())
    }

    /// SIGSTOP: alive, but deaf.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// User and system time used so far.
    pub fn cpu_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let ticks = cpu_ticks(&stat).with_context(|| format!("understanding {path}: {stat}"))?;
        Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()))
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = kib.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.with_context(|| format!("no VmRSS in {path}"))? << 10)
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.pid);
        Ok(std::fs::read_dir(&path).with_context(|| format!("reading {path}"))?.count())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Under the lock: the child cannot be reaped, so the id is still its own.
        let mut child = self.child();
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Best effort: a destructor cannot report an error.
        let _ = self.signal(Signal::CONT);
        let _ = self.signal(Signal::TERM);
        if !poll::blocking(Duration::from_secs(10), || !matches!(self.ended(), Ok(None))) {
            let _ = self.kill();
        }
    }
}

/// Opens a log for appending, so that a restart continues it.
pub fn append_to(log: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("opening {}", log.display()))
}

/// The last lines of a file, or why there are none.
pub fn last_lines(path: &Path, count: usize) -> String {
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(count)..].join("\n")
        }
        Err(error) => format!("({}: {error})", path.display()),
    }
}

/// utime + stime of proc(5)'s `stat`: fields 14 and 15, counted behind the name in parentheses,
/// which may itself hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_stand_behind_a_name_with_spaces() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(12));
        assert_eq!(cpu_ticks("42 no name"), None);
    }
}
