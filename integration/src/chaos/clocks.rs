//! Clocks that are wrong, or days that have passed: a daemon whose calendar is ahead of ours.
use std::path::Path;

use anyhow::Result;

use super::preload;
use crate::daemon::Node;

/// Lets a daemon believe, from its next start on, that so many days more have passed; `scratch` is a folder for our
/// own files. [`Node::set_environment`] without anything sets its clock right.
pub fn ahead(node: &mut Node, days: u32, scratch: &Path) -> Result<()> {
    let library = preload::library(scratch, "clock", include_str!("clock.c"))?;
    node.set_environment(vec![
        ("LD_PRELOAD".to_owned(), library.display().to_string()),
        ("FULMEN_CLOCK_AHEAD_SECS".to_owned(), (u64::from(days) * 24 * 3_600).to_string()),
    ]);
    Ok(())
}
