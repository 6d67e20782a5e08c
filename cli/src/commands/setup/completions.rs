//! `fulmen completions SHELL`: a script that completes commands and options.
use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::render::Screen;

#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub fn run(self, mut fulmen: Command, screen: Screen) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut fulmen, "fulmen", &mut script);
        screen.text(&String::from_utf8_lossy(&script))
    }
}
