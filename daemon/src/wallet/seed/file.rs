//! The file of the seed, which only the daemon's user can read: words in the clear, or sealed under a passphrase.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::passphrase::Passphrase;
use super::sealed::{self, Chance, Cost, UnsealError};
use super::{Seed, SeedError};
use crate::private_file;

/// Where a seed is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedFile {
    path: PathBuf,
    /// Of seals that are made.
    cost: Cost,
}

impl SeedFile {
    /// Names the file; it need not exist.
    pub fn new(path: PathBuf) -> Self {
        Self { path, cost: sealed::COST }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the seed; asks for the passphrase only where it is encrypted.
    ///
    /// # Errors
    /// [`SeedError::Missing`], [`SeedError::Damaged`], [`SeedError::WrongPassphrase`], [`SeedError::DamagedSeal`],
    /// [`SeedError::NewerSeal`], [`SeedError::Io`], and what `ask` says.
    pub fn load(
        &self,
        ask: impl FnOnce(&Path) -> Result<Passphrase, SeedError>,
    ) -> Result<Seed, SeedError> {
        let bytes = self.read()?;
        match sealed::is_sealed(&bytes) {
            true => self.opened(&bytes, &ask(&self.path)?),
            false => self.in_the_clear(&bytes),
        }
    }

    /// Stores a seed where there is none yet, encrypted where there is a passphrase.
    ///
    /// It is written beside, made durable, and gets its name only if the name is free: a crash leaves either no seed or
    /// a whole one, and an old seed is never replaced.
    ///
    /// # Errors
    /// [`SeedError::Exists`], [`SeedError::Io`], [`SeedError::Entropy`].
    pub fn store(&self, seed: &Seed, passphrase: Option<&Passphrase>) -> Result<(), SeedError> {
        if self.path.exists() {
            return Err(SeedError::Exists(self.path.clone()));
        }
        let draft = self.draft();
        let bytes = self.form(seed, passphrase)?;
        let written = write(&draft, &bytes).and_then(|()| fs::hard_link(&draft, &self.path));
        let removed = fs::remove_file(&draft);
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.path.exists() => {
                return Err(SeedError::Exists(self.path.clone()));
            }
            written => written.map_err(|error| self.failed("write the seed", error))?,
        }
        removed.map_err(|error| self.failed("remove the draft of the seed", error))?;
        self.sync_directory()
    }

    /// Encrypts a seed that is in the clear, and wipes the file that held the words.
    ///
    /// # Errors
    /// [`SeedError::EncryptedAlready`], and what keeps the seed from being read or written; it is as it was then.
    pub fn encrypt(
        &self,
        ask: impl FnOnce() -> Result<Passphrase, SeedError>,
    ) -> Result<(), SeedError> {
        let bytes = self.read()?;
        if sealed::is_sealed(&bytes) {
            return Err(SeedError::EncryptedAlready(self.path.clone()));
        }
        let seed = self.in_the_clear(&bytes)?;
        let passphrase = ask()?;
        let before = OpenOptions::new().write(true).open(&self.path);
        let before = before.map_err(|error| self.failed("open the seed", error))?;
        self.replace(&seed, Some(&passphrase))?;
        // What the disk itself keeps of old blocks is out of reach.
        wipe(before, bytes.len()).map_err(|error| self.failed("wipe the words that were in", error))
    }

    /// Puts the words of an encrypted seed into the clear.
    ///
    /// # Errors
    /// [`SeedError::NotEncrypted`], and what keeps the seed from being read or written; it is as it was then.
    pub fn decrypt(
        &self,
        ask: impl FnOnce(&Path) -> Result<Passphrase, SeedError>,
    ) -> Result<(), SeedError> {
        let bytes = self.read()?;
        if !sealed::is_sealed(&bytes) {
            self.in_the_clear(&bytes)?;
            return Err(SeedError::NotEncrypted(self.path.clone()));
        }
        let seed = self.opened(&bytes, &ask(&self.path)?)?;
        self.replace(&seed, None)
    }

    /// Puts another form of the same seed in place of the one there, in one step, once it has been read back.
    fn replace(&self, seed: &Seed, passphrase: Option<&Passphrase>) -> Result<(), SeedError> {
        let draft = Self { path: self.draft(), cost: self.cost };
        let replaced = self.form(seed, passphrase).and_then(|bytes| {
            write(&draft.path, &bytes).map_err(|error| draft.failed("write", error))?;
            let read = draft.load(|_| passphrase.cloned().ok_or(SeedError::EmptyPassphrase));
            if read.map(|read| read.words() != seed.words()).unwrap_or(true) {
                return Err(SeedError::NotVerified(self.path.clone()));
            }
            fs::rename(&draft.path, &self.path)
                .map_err(|error| self.failed("replace the seed", error))
        });
        if replaced.is_err() {
            // Best effort: it may hold the words, or not be there.
            let _ = fs::remove_file(&draft.path);
        }
        replaced?;
        self.sync_directory()
    }

    fn form(
        &self,
        seed: &Seed,
        passphrase: Option<&Passphrase>,
    ) -> Result<Zeroizing<Vec<u8>>, SeedError> {
        Ok(Zeroizing::new(match passphrase {
            None => (seed.words().join(" ") + "\n").into_bytes(),
            Some(passphrase) => {
                let chance = Chance::draw().map_err(SeedError::Entropy)?;
                sealed::seal(&seed.entropy(), passphrase.text(), self.cost, &chance)
            }
        }))
    }

    fn opened(&self, bytes: &[u8], passphrase: &Passphrase) -> Result<Seed, SeedError> {
        let path = self.path.clone();
        match sealed::open(bytes, passphrase.text()) {
            Ok(entropy) => Ok(Seed::from_entropy(&entropy)),
            Err(UnsealError::Wrong) => Err(SeedError::WrongPassphrase(path)),
            Err(UnsealError::Damaged) => Err(SeedError::DamagedSeal(path)),
            Err(UnsealError::Newer(version)) => Err(SeedError::NewerSeal { path, version }),
        }
    }

    fn in_the_clear(&self, bytes: &[u8]) -> Result<Seed, SeedError> {
        Seed::parse(&String::from_utf8_lossy(bytes)).map_err(|source| SeedError::Damaged {
            path: self.path.clone(),
            source: Box::new(source),
        })
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SeedError> {
        let bytes = fs::read(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SeedError::Missing(self.path.clone()),
            _ => self.failed("read the seed", error),
        })?;
        private_file::warn_if_others_can_read(&self.path, "the seed");
        Ok(Zeroizing::new(bytes))
    }

    fn sync_directory(&self) -> Result<(), SeedError> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))
            .and_then(|directory| directory.sync_all())
            .map_err(|error| self.failed("sync the directory of", error))
    }

    fn draft(&self) -> PathBuf {
        self.path.with_extension(format!("{}.new", std::process::id()))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> SeedError {
        SeedError::Io { doing, path: self.path.clone(), source }
    }
}

/// Makes a file, durable but for its name.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A draft of a process that died before us and had our number.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn wipe(mut file: File, bytes: usize) -> io::Result<()> {
    file.write_all(&vec![0; bytes])?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const LOW: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    struct Scratch {
        dir: tempfile::TempDir,
        file: SeedFile,
    }

    fn scratch() -> Scratch {
        let dir = tempfile::tempdir().expect("a directory");
        let file = SeedFile { path: dir.path().join("seed"), cost: LOW };
        Scratch { dir, file }
    }

    impl Scratch {
        fn mode(&self) -> u32 {
            fs::metadata(&self.file.path).expect("there").permissions().mode() & 0o777
        }

        fn has_no_draft(&self) -> bool {
            fs::read_dir(self.dir.path()).expect("lists").count() == 1
        }

        fn bytes(&self) -> Vec<u8> {
            fs::read(&self.file.path).expect("there")
        }
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).expect("it is not empty")
    }

    fn nobody(_: &Path) -> Result<Passphrase, SeedError> {
        panic!("a seed in the clear needs no passphrase")
    }

    fn words(loaded: Result<Seed, SeedError>) -> Vec<&'static str> {
        loaded.expect("loads").words()
    }

    #[test]
    fn a_stored_seed_is_private_and_read_back() {
        for passphrase in [None, Some(passphrase("open sesame"))] {
            let scratch = scratch();
            let seed = Seed::generate().expect("made");
            scratch.file.store(&seed, passphrase.as_ref()).expect("stored");
            assert_eq!(scratch.mode(), 0o600);
            assert!(scratch.has_no_draft());
            let in_the_clear = String::from_utf8_lossy(&scratch.bytes()).contains(seed.words()[0]);
            assert_eq!(in_the_clear, passphrase.is_none());
            let loaded = match passphrase {
                None => scratch.file.load(nobody),
                Some(passphrase) => scratch.file.load(|_| Ok(passphrase)),
            };
            assert_eq!(words(loaded), seed.words());
        }
    }

    #[test]
    fn a_seed_is_never_overwritten() {
        let scratch = scratch();
        let (one, two) = (Seed::generate().expect("made"), Seed::generate().expect("made"));
        scratch.file.store(&one, None).expect("stored");
        assert!(matches!(scratch.file.store(&two, None), Err(SeedError::Exists(_))));
        assert_eq!(words(scratch.file.load(nobody)), one.words());
    }

    #[test]
    fn a_seed_is_encrypted_and_decrypted_in_its_place() {
        let scratch = scratch();
        let seed = Seed::generate().expect("made");
        scratch.file.store(&seed, None).expect("stored");
        let plain = scratch.bytes();
        // What else leads to the old file sees that its words are gone.
        let old = scratch.dir.path().with_extension("old");
        fs::hard_link(&scratch.file.path, &old).expect("linked");
        let open_sesame = || Ok(passphrase("open sesame"));
        scratch.file.encrypt(open_sesame).expect("encrypted");
        assert_eq!(fs::read(&old).expect("there"), vec![0; plain.len()]);
        fs::remove_file(&old).expect("removed");
        assert!(scratch.has_no_draft() && scratch.mode() == 0o600);
        assert_eq!(words(scratch.file.load(|_| open_sesame())), seed.words());

        let sealed = scratch.bytes();
        let again = scratch.file.encrypt(open_sesame);
        assert!(matches!(again, Err(SeedError::EncryptedAlready(_))), "{again:?}");
        let wrong = scratch.file.decrypt(|_| Ok(passphrase("sesame")));
        assert!(matches!(wrong, Err(SeedError::WrongPassphrase(_))), "{wrong:?}");
        let unasked = scratch.file.decrypt(|path| Err(SeedError::Locked(path.to_owned())));
        assert!(matches!(unasked, Err(SeedError::Locked(_))), "{unasked:?}");
        assert!(scratch.bytes() == sealed && scratch.has_no_draft(), "nothing is changed");

        scratch.file.decrypt(|_| open_sesame()).expect("decrypted");
        assert_eq!(scratch.bytes(), plain);
        let again = scratch.file.decrypt(nobody);
        assert!(matches!(again, Err(SeedError::NotEncrypted(_))), "{again:?}");
    }

    #[test]
    fn a_missing_and_a_damaged_file_are_told_apart() {
        let scratch = scratch();
        assert!(matches!(scratch.file.load(nobody), Err(SeedError::Missing(_))));
        fs::write(&scratch.file.path, "abandon").expect("written");
        assert!(matches!(scratch.file.load(nobody), Err(SeedError::Damaged { .. })));
        assert!(matches!(
            scratch.file.encrypt(|| nobody(Path::new(""))),
            Err(SeedError::Damaged { .. })
        ));
    }

    #[test]
    fn a_flipped_byte_anywhere_in_an_encrypted_seed_is_refused() {
        let scratch = scratch();
        let open_sesame = passphrase("open sesame");
        scratch.file.store(&Seed::generate().expect("made"), Some(&open_sesame)).expect("stored");
        let sealed = scratch.bytes();
        for place in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[place] ^= 1;
            fs::write(&scratch.file.path, flipped).expect("written");
            let refused = scratch.file.load(|_| Ok(open_sesame.clone()));
            assert!(refused.is_err(), "byte {place}");
        }
    }
}
