//! The screen: the only place that prints.
pub mod backup;
pub mod channel_progress;
pub mod channels;
pub mod events;
pub mod forwards;
pub mod graph;
pub mod invoices;
pub mod node;
pub mod offers;
pub mod payable;
pub mod payments;
pub mod peers;
pub mod routes;
pub mod store;
pub mod wallet;

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use prost::{Message, Name};

use crate::failure::{Exit, Failure};
pub use crate::format::table::Look;
use crate::format::{human, json, table};

/// Where results, notes, questions and failures go.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// JSON for machines rather than text for people.
    pub json: bool,
    /// What the output can do.
    pub look: Look,
    on_terminal: bool,
}

impl Screen {
    /// Looks at what the output is connected to.
    pub fn new(json: bool) -> Self {
        let on_terminal = std::io::stdout().is_terminal();
        let width = console::Term::stdout().size_checked().map(|(_, width)| usize::from(width));
        let look = Look {
            width: width.filter(|_| on_terminal),
            colour: on_terminal && console::colors_enabled(),
        };
        Self { json, look, on_terminal }
    }

    /// Shows a result: as JSON, or as `human` puts it.
    pub fn show<M: Message + Name>(
        &self,
        message: &M,
        human: impl FnOnce(&M, Look) -> String,
    ) -> Result<(), Failure> {
        if !self.json {
            return self.text(&human(message, self.look));
        }
        let value = json::json(message);
        let text = if self.on_terminal {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        self.text(&text.expect("a JSON value always has a text"))
    }

    /// Shows one of many results: JSON stays on one line whatever the output is.
    pub fn show_next<M: Message + Name>(
        &self,
        message: &M,
        human: impl FnOnce(&M, Look) -> String,
    ) -> Result<(), Failure> {
        match self.json {
            true => self.text(&json::json(message).to_string()),
            false => self.text(&human(message, self.look)),
        }
    }

    /// Writes a text to the output as it is, with a line break at its end.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let mut output = std::io::stdout().lock();
        output.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            output.write_all(b"\n")?;
        }
        Ok(output.flush()?)
    }

    /// Prints a note for people beside the result.
    pub fn note(&self, text: &str) {
        if !self.json {
            to_errors(&format!("{text}\n"));
        }
    }

    /// Prints a failure; nothing if the reader has closed the pipe.
    pub fn failure(&self, failure: &Failure) {
        if failure.exit == Exit::PipeClosed {
            return;
        }
        if self.json {
            let error = serde_json::json!({"error": {
                "reason": failure.reason, "message": failure.what, "advice": failure.advice,
                "exit_code": failure.exit.code(),
            }});
            to_errors(&format!("{error}\n"));
            return;
        }
        let colour = std::io::stderr().is_terminal() && console::colors_enabled_stderr();
        let look = Look { width: None, colour };
        let word = table::paint(look, "error:", table::Tone::Bad);
        let mut text = format!("{word} {}\n", human::one_line(&failure.what));
        if let Some(advice) = &failure.advice {
            text.push_str(&format!("{advice}\n"));
        }
        to_errors(&text);
    }

    /// Shows that something long runs, until it is dropped; only to people at a terminal.
    pub fn progress(&self, doing: impl Into<String>) -> Progress {
        if self.json || !std::io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
                .expect("the template is well formed"),
        );
        bar.set_message(doing.into());
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress(bar)
    }

    /// Whether somebody is there to be asked.
    pub fn has_someone_to_ask(&self) -> bool {
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks before something that cannot be undone, unless `yes` was given. Without anybody to ask it is refused.
    pub fn confirm_unless(&self, yes: bool, question: &str) -> Result<(), Failure> {
        match yes {
            true => Ok(()),
            false if self.has_someone_to_ask() => self.confirm(question),
            false => Err(Failure::new(Exit::Usage, "nobody is at a terminal to confirm this")
                .advise("Give --yes where no question can be answered")),
        }
    }

    /// Asks whether to go on; anything but yes is no.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        to_errors(&format!("{question} [y/N] "));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::failed("not confirmed: nothing was done")),
        }
    }
}

/// Something long that runs.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// What is being done now.
    pub fn doing(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A closed standard error is ignored.
fn to_errors(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Unix time, for "5 min ago".
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
