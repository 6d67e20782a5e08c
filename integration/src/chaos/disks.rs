//! Disks that run full under a daemon: a small file system of its own, where this machine lets us mount one.
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// A small ext4 on a loop device, unmounted when it is dropped.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Makes one of `mib` MiB and mounts it at a new folder; none where that takes rights that we do not have.
    pub fn mount(image: &Path, at: &Path, mib: u64) -> Result<Option<Self>> {
        std::fs::create_dir_all(at).with_context(|| format!("creating {}", at.display()))?;
        let file = File::create(image).with_context(|| format!("creating {}", image.display()))?;
        file.set_len(mib << 20)?;
        // No blocks kept for root, who would fill the disk further than others.
        let made = run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(image));
        let mounted = made && run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at));
        Ok(mounted.then(|| Self { at: at.to_owned() }))
    }

    /// Takes all space but `leave_mib` MiB.
    pub fn fill(&self, leave_mib: u64) -> Result<()> {
        let mut filler = File::options().create(true).append(true).open(self.filler())?;
        let zeros = vec![0; 256 << 10];
        while self.free_bytes()? > leave_mib << 20 {
            match filler.write_all(&zeros) {
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                written => written.context("filling a disk")?,
            }
            filler.sync_data().or_else(|error| match error.kind() {
                std::io::ErrorKind::StorageFull => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(())
    }

    /// Gives the space back.
    pub fn free(&self) -> Result<()> {
        std::fs::remove_file(self.filler()).context("freeing a disk")
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    fn free_bytes(&self) -> Result<u64> {
        let disk = rustix::fs::statvfs(&self.at)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process that has not ended yet may hold it: then it goes with that process.
        run(Command::new("umount").arg("--lazy").arg(&self.at));
    }
}

fn run(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
