//! Every command of the README, run as it stands there.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fulmen_integration::ports::Port;
use fulmen_integration::process::Process;
use fulmen_integration::scratch::Scratch;
use fulmen_integration::{binaries, poll};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

fn readme() -> Result<String> {
    std::fs::read_to_string(binaries::workspace().join("README.md")).context("README.md")
}

/// The part of the README below a heading.
fn section<'a>(readme: &'a str, heading: &str) -> Result<&'a str> {
    let heading = format!("\n## {heading}\n");
    let (_, below) = readme.split_once(&heading).with_context(|| format!("no{heading}"))?;
    Ok(below.split("\n## ").next().unwrap_or(below))
}

/// A command of the README with the output that it shows.
#[derive(Debug, PartialEq)]
struct Shown {
    /// Without `$` and without the remark behind it.
    command: String,
    /// Behind `#`.
    remark: String,
    output: Vec<String>,
}

/// The commands behind a `$` in the fenced blocks of a text.
fn commands(text: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for block in text.split("```").skip(1).step_by(2) {
        for line in block.lines().skip(1) {
            if let Some(command) = line.strip_prefix("$ ") {
                let (command, remark) = command.split_once(" # ").unwrap_or((command, ""));
                shown.push(Shown {
                    command: command.trim().to_owned(),
                    remark: remark.trim().to_owned(),
                    output: Vec::new(),
                });
            } else if let Some(last) = shown.last_mut() {
                last.output.push(line.to_owned());
            }
        }
    }
    shown
}

/// The words by which a line of output is recognised: its label, without what differs from run to run.
fn label(line: &str) -> Option<String> {
    let text = line.trim_start_matches([' ', '✓']).trim_end();
    let label = text.split("  ").next().unwrap_or_default();
    let steady = label.len() >= 3 && !label.chars().any(|c| c.is_ascii_digit());
    (steady && !label.contains('/') && !label.starts_with("...")).then(|| label.to_owned())
}

fn succeeded(output: &Output, what: &str) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what}: {}: {stdout}{stderr}", output.status);
    Ok(stdout)
}

/// The network that `cargo demo --keep` left running; it ends with this value.
struct Kept {
    pids: Vec<Pid>,
    dir: PathBuf,
    /// Names of the nodes with their directories.
    nodes: Vec<(String, PathBuf)>,
}

impl Kept {
    /// Reads what the demo printed last.
    fn read(printed: &str) -> Result<Self> {
        let behind = |mark: &str| {
            let line = printed.lines().find_map(|line| line.trim().strip_prefix(mark));
            line.with_context(|| format!("{mark:?} is not in {printed}"))
        };
        let pids = behind("to end it: kill ")?.split_whitespace().map(str::parse::<i32>);
        let pids = pids.map(|pid| pid.ok().and_then(Pid::from_raw).context("a process id"));
        let kept = Self {
            pids: pids.collect::<Result<_>>()?,
            dir: behind("everything runs on in ")?.into(),
            nodes: printed
                .lines()
                .filter_map(|line| {
                    let mut words = line.split_whitespace();
                    let name = words.next()?;
                    let dir = words.skip_while(|word| *word != "--dir").nth(1)?;
                    Some((name.to_owned(), dir.into()))
                })
                .collect(),
        };
        ensure!(kept.nodes.len() == 4, "a diamond has four nodes: {printed}");
        Ok(kept)
    }

    fn fulmen(&self, node: &str, arguments: &[String]) -> Result<Output> {
        let dir = self.nodes.iter().find(|(name, _)| name == node).context("no such node")?;
        Command::new(&binaries::get()?.fulmen)
            .arg("--dir")
            .arg(&dir.1)
            .args(["--network", "regtest"])
            .args(arguments)
            .output()
            .context("running fulmen")
    }

    fn json(&self, node: &str, arguments: &[&str]) -> Result<serde_json::Value> {
        let mut all = vec!["--json".to_owned()];
        all.extend(arguments.iter().map(|&word| word.to_owned()));
        let output = self.fulmen(node, &all)?;
        Ok(serde_json::from_str(&succeeded(&output, &all.join(" "))?)?)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // The kept daemons are no children of this process: they are signalled by id, and looked for.
        for pid in &self.pids {
            let _ = kill_process(*pid, Signal::TERM);
        }
        poll::blocking(Duration::from_secs(20), || {
            self.pids.iter().all(|pid| test_kill_process(*pid).is_err())
        });
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Replaces what differs from run to run: node ids, invoices and short channel ids.
fn fill_in(command: &str, node: &str, invoice: &str, channels: &[String]) -> Result<Vec<String>> {
    let mut seen: Vec<&str> = Vec::new();
    let mut words = Vec::new();
    for word in command.split_whitespace() {
        let is_channel = word.split('x').count() == 3 && word.starts_with(char::is_numeric);
        words.push(if word == "NODE" {
            node.to_owned()
        } else if word.starts_with("lnbcrt") {
            invoice.to_owned()
        } else if is_channel {
            let place = seen.iter().position(|other| *other == word).unwrap_or_else(|| {
                seen.push(word);
                seen.len() - 1
            });
            channels.get(place).with_context(|| format!("no channel for {word}"))?.clone()
        } else {
            word.to_owned()
        });
    }
    Ok(words)
}

#[test]
fn the_tour_works_as_it_stands() -> Result<()> {
    let readme = readme()?;
    let mut tour = commands(section(&readme, "Five minutes with it")?).into_iter();
    let first = tour.next().context("the tour begins with a command")?;
    let arguments = first.command.strip_prefix("cargo ").context("the tour begins with cargo")?;
    let output = binaries::cargo()?.args(arguments.split_whitespace()).output()?;
    let printed = succeeded(&output, &first.command)?;
    let kept = Kept::read(&printed)?;
    let screen = String::from_utf8_lossy(&output.stderr);
    for label in first.output.iter().filter_map(|line| label(line)) {
        ensure!(
            printed.contains(&label) || screen.contains(&label),
            "{label:?}: {printed}{screen}"
        );
    }

    let dave = kept.json("dave", &["info"])?;
    let dave = dave.pointer("/node_id").and_then(|id| id.as_str()).context("dave's id")?.to_owned();
    let channels = kept.json("alice", &["channels"])?;
    let channels = channels.pointer("/channels").and_then(|all| all.as_array());
    let mut ids = Vec::new();
    for channel in channels.context("alice's channels")? {
        let peer = channel.pointer("/node_id").and_then(|id| id.as_str()).unwrap_or_default();
        let id = channel.pointer("/short_channel_id").and_then(|id| id.as_str());
        ids.push((peer.to_owned(), id.context("a short id")?.to_owned()));
    }
    let ids: Vec<String> = ids.into_iter().map(|(_, id)| id).collect();
    ensure!(ids.len() == 2, "alice has a channel to each side: {ids:?}");

    let mut invoice = String::new();
    let mut count = 0;
    for shown in tour {
        let node = ["bob", "carol", "dave"].into_iter().find(|name| shown.remark.contains(name));
        let node = node.unwrap_or("alice");
        let words = shown.command.strip_prefix("fulmen ").context("the tour is for fulmen")?;
        let output = kept.fulmen(node, &fill_in(words, &dave, &invoice, &ids)?)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let all = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        let fails = shown.output.iter().any(|line| line.starts_with("error:"));
        ensure!(output.status.success() != fails, "{node}: {}: {all}", shown.command);
        for label in shown.output.iter().filter_map(|line| label(line)) {
            ensure!(all.contains(&label), "{}: no {label:?} in {all}", shown.command);
        }
        if let Some(fresh) = stdout.lines().find(|line| line.starts_with("lnbcrt")) {
            invoice = fresh.trim().to_owned();
        }
        count += 1;
    }
    ensure!(count > 8, "only {count} commands");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_steps_on_a_real_network_work_as_they_stand() -> Result<()> {
    let readme = readme()?;
    let steps = commands(section(&readme, "On a real network")?);
    let lines: Vec<&str> = steps.iter().map(|shown| shown.command.as_str()).collect();
    ensure!(lines == ["fulmen create", "fulmend", "fulmen info"], "{lines:?}");
    let scratch = Scratch::new("first-steps")?;
    let home = scratch.folder("home")?;
    let run = |program: &Path, arguments: &[&str]| {
        Command::new(program).args(arguments).env("HOME", &home).output().context("running it")
    };
    let programs = binaries::get()?;
    let created = succeeded(&run(&programs.fulmen, &["create"])?, "fulmen create")?;
    ensure!(created.split_whitespace().count() > 24, "{created}");
    // The fixed ports of a real node may be taken on this machine.
    let port = Port::reserve()?;
    let environment: Vec<(String, String)> = [
        ("HOME", home.display().to_string()),
        ("FULMEN_GRPC_LISTEN", format!("127.0.0.1:{}", port.number())),
        ("FULMEN_NODE_LISTEN", "[]".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let log = scratch.path().join("fulmend.log");
    let none: [&str; 0] = [];
    let daemon = Process::spawn_with("fulmend", &programs.fulmend, none, &environment, &log)?;
    // There is no bitcoind of the main network: the daemon waits for it, and says so.
    poll::eventually("fulmend waits for bitcoind", async || {
        daemon.must_run()?;
        let said = std::fs::read_to_string(&log)?;
        Ok(match said.contains("bitcoind") {
            true => poll::Look::Done(()),
            false => poll::Look::NotYet(said),
        })
    })
    .await?;
    let info = run(&programs.fulmen, &["info"])?;
    let said = String::from_utf8_lossy(&info.stderr);
    ensure!(matches!(info.status.code(), Some(1 | 3)) && !said.is_empty(), "{info:?}");
    daemon.stop().await?;
    Ok(())
}

/// `a|b` in the last word that has one stands for both.
fn alternatives(command: &str) -> Vec<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let Some(place) = words.iter().position(|word| word.contains('|')) else {
        return vec![words.join(" ")];
    };
    let with = |choice: &str| [&words[..place], &[choice], &words[place + 1..]].concat().join(" ");
    words[place].split('|').map(with).collect()
}

#[test]
fn commands_named_in_the_text_exist() -> Result<()> {
    let readme = readme()?;
    let prose: String = readme.split("```").step_by(2).collect();
    let mut seen = 0;
    for quoted in prose.split('`').skip(1).step_by(2) {
        let command = quoted.split(" > ").next().unwrap_or(quoted);
        for command in alternatives(command) {
            let mut words = command.split_whitespace();
            let program = match words.next() {
                Some("fulmen") => &binaries::get()?.fulmen,
                Some("fulmend") => &binaries::get()?.fulmend,
                _ => continue,
            };
            // Up to the first option or placeholder; the help of a command that does not exist is refused.
            let words = words.take_while(|word| word.chars().all(|c| c == '-' || c.is_lowercase()));
            let words: Vec<&str> = words.take_while(|word| !word.starts_with("--")).collect();
            let output = Command::new(program).args(&words).arg("--help").output()?;
            succeeded(&output, &format!("{command} --help"))?;
            seen += 1;
        }
    }
    ensure!(seen > 10, "only {seen} commands in the text");
    Ok(())
}

#[test]
fn cargos_aliases_take_options_of_the_program_and_of_cargo() -> Result<()> {
    for alias in ["demo", "load", "soak"] {
        // What cargo would run, without running it: a build in release profile takes minutes.
        let config = std::fs::read_to_string(binaries::workspace().join(".cargo/config.toml"))?;
        let line = config.lines().find(|line| line.starts_with(&format!("{alias} = ")));
        let line = line.with_context(|| format!("no alias {alias}"))?;
        ensure!(!line.contains("-- "), "{line}: options of cargo could not follow");
        ensure!(!line.trim_end_matches('"').ends_with("--"), "{line}: `--` would stand twice");
    }
    let help = binaries::cargo()?.args(["demo", "--quiet", "--", "--help"]).output()?;
    ensure!(succeeded(&help, "cargo demo -- --help")?.contains("--topology"));
    Ok(())
}

#[test]
fn the_two_commands_are_those_that_are_tested() -> Result<()> {
    let readme = readme()?;
    let section = section(&readme, "Two commands")?;
    let block = section.split("```").nth(1).context("a block")?;
    let commands: Vec<&str> =
        block.lines().filter_map(|line| line.split(" #").next()).map(str::trim).collect();
    let commands: Vec<&str> = commands.into_iter().filter(|line| !line.is_empty()).collect();
    ensure!(commands == ["cargo demo", "cargo test --workspace"], "{commands:?}");
    let output = binaries::cargo()?.arg("demo").output()?;
    let printed = succeeded(&output, "cargo demo")?;
    let last = printed.lines().last().context("the demo prints a line of JSON")?;
    let report: serde_json::Value = serde_json::from_str(last).context("the last line is JSON")?;
    match report.pointer("/audit").and_then(|audit| audit.as_str()) {
        Some("ok") => Ok(()),
        _ => bail!("{report}"),
    }
}
