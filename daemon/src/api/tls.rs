//! The certificate of the gRPC port: self-signed, made at the first start, valid for ten years.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::private_file;

/// The certificate that clients trust.
pub const CERT_FILE: &str = "tls.cert";
/// Its private key.
pub const KEY_FILE: &str = "tls.key";

const DAY_SECS: u64 = 24 * 60 * 60;
const LIFETIME_SECS: u64 = 10 * 365 * DAY_SECS;
const RENEW_BEFORE_SECS: u64 = 30 * DAY_SECS;
/// Clocks of clients may be behind ours.
const BACKDATED_SECS: u64 = DAY_SECS;
/// Marks our own certificates, in a line before the first `-----BEGIN`, which PEM readers skip.
const NOTE: &str = "fulmen-self-signed";

/// Certificate and key, both as PEM.
pub struct Identity {
    /// The certificate, with any text before it.
    pub cert_pem: Vec<u8>,
    /// The private key.
    pub key_pem: Vec<u8>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The key file does not hold a key.
    #[error("{} does not hold a private key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The error.
        source: rcgen::Error,
    },
    /// A certificate cannot be made, probably for one of the configured hosts.
    #[error("cannot make a certificate for {hosts}")]
    Make {
        /// The names and addresses in it.
        hosts: String,
        /// The error.
        source: rcgen::Error,
    },
    /// The key of an existing certificate is missing.
    #[error("{CERT_FILE} exists but {KEY_FILE} does not: restore it, or remove both")]
    KeyMissing,
}

/// Loads the certificate; makes it at the first start; renews it with the same key when it nears its end or when
/// `hosts` have changed. An operator's own certificate is never touched. `now` is Unix time in seconds.
pub fn load_or_create(data_dir: &Path, hosts: &[String], now: u64) -> Result<Identity, Error> {
    let (cert_path, key_path) = (data_dir.join(CERT_FILE), data_dir.join(KEY_FILE));
    let cert = read(&cert_path)?;
    let key = read(&key_path)?;
    let note = Note::for_hosts(hosts, now);
    match (cert, key) {
        (Some(cert_pem), Some(key_pem)) if !needs_renewal(&cert_pem, &note, now) => {
            Ok(Identity { cert_pem, key_pem })
        }
        (Some(_), None) => Err(Error::KeyMissing),
        (_, Some(key_pem)) => {
            let text = String::from_utf8_lossy(&key_pem);
            let key = KeyPair::from_pem(&text)
                .map_err(|source| Error::Key { path: key_path.clone(), source })?;
            let cert_pem = certify(&key, &note)?;
            write(&cert_path, &cert_pem)?;
            Ok(Identity { cert_pem, key_pem })
        }
        (None, None) => {
            let made = |source| Error::Make { hosts: note.hosts.join(","), source };
            let key = KeyPair::generate().map_err(made)?;
            let key_pem = key.serialize_pem().into_bytes();
            let cert_pem = certify(&key, &note)?;
            // The key first: a crash between the two leaves a key that gets its certificate next time.
            write(&key_path, &key_pem)?;
            write(&cert_path, &cert_pem)?;
            Ok(Identity { cert_pem, key_pem })
        }
    }
}

/// The line before a certificate of ours.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    valid_from: u64,
    valid_until: u64,
    hosts: Vec<String>,
}

impl Note {
    fn for_hosts(extra: &[String], now: u64) -> Self {
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        for host in extra.iter().map(|host| host.trim().to_owned()) {
            if !host.is_empty() && !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let valid_from = now.saturating_sub(BACKDATED_SECS);
        Self { valid_from, valid_until: now + LIFETIME_SECS, hosts }
    }

    fn line(&self) -> String {
        let hosts = self.hosts.join(",");
        format!("{NOTE} from {} until {} for {hosts}\n", self.valid_from, self.valid_until)
    }

    fn parse(cert_pem: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(cert_pem).ok()?;
        let words: Vec<&str> = text.lines().next()?.split(' ').collect();
        match words.as_slice() {
            [NOTE, "from", from, "until", until, "for", hosts] => Some(Self {
                valid_from: from.parse().ok()?,
                valid_until: until.parse().ok()?,
                hosts: hosts.split(',').map(str::to_owned).collect(),
            }),
            _ => None,
        }
    }
}

fn needs_renewal(cert_pem: &[u8], wanted: &Note, now: u64) -> bool {
    Note::parse(cert_pem).is_some_and(|note| {
        note.hosts != wanted.hosts || note.valid_until < now + RENEW_BEFORE_SECS
    })
}

fn certify(key: &KeyPair, note: &Note) -> Result<Vec<u8>, Error> {
    let made = |source| Error::Make { hosts: note.hosts.join(","), source };
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::new(note.hosts.clone()).map_err(made)?;
    params.distinguished_name.push(DnType::CommonName, "fulmen");
    params.not_before = epoch + Duration::from_secs(note.valid_from);
    params.not_after = epoch + Duration::from_secs(note.valid_until);
    // Not a certificate authority: rustls refuses one as the certificate of a server.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let cert = params.self_signed(key).map_err(made)?;
    Ok(format!("{}{}", note.line(), cert.pem()).into_bytes())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    private_file::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    private_file::write(path, content)
        .map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000;

    #[test]
    fn a_certificate_is_made_once_and_kept() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = load_or_create(dir.path(), &[], NOW).expect("made");
        let later = load_or_create(dir.path(), &[], NOW + 365 * DAY_SECS).expect("kept");
        assert_eq!((&first.cert_pem, &first.key_pem), (&later.cert_pem, &later.key_pem));
        let note = Note::parse(&first.cert_pem).expect("ours");
        assert_eq!(note.hosts, ["localhost", "127.0.0.1", "::1"]);
    }

    #[test]
    fn it_is_renewed_with_the_same_key_near_its_end_or_for_other_hosts() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = load_or_create(dir.path(), &[], NOW).expect("made");
        let near_end = NOW + LIFETIME_SECS - RENEW_BEFORE_SECS + 1;
        let renewed = load_or_create(dir.path(), &[], near_end).expect("renewed");
        assert_ne!(first.cert_pem, renewed.cert_pem);
        assert_eq!(first.key_pem, renewed.key_pem);
        let hosts = ["node.example".to_owned(), "10.0.0.7".to_owned()];
        let moved = load_or_create(dir.path(), &hosts, near_end).expect("renewed");
        assert_ne!(renewed.cert_pem, moved.cert_pem);
        let kept = load_or_create(dir.path(), &hosts, near_end).expect("kept");
        assert_eq!(kept.cert_pem, moved.cert_pem);
    }

    #[test]
    fn an_operators_own_certificate_is_never_touched() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let made = load_or_create(dir.path(), &[], NOW).expect("made");
        let own = String::from_utf8(made.cert_pem).expect("text").replacen(NOTE, "somebody", 1);
        std::fs::write(dir.path().join(CERT_FILE), &own).expect("writable");
        let served = load_or_create(dir.path(), &[], NOW + LIFETIME_SECS).expect("served");
        assert_eq!(served.cert_pem, own.into_bytes());
    }

    #[test]
    fn a_certificate_without_its_key_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        load_or_create(dir.path(), &[], NOW).expect("made");
        std::fs::remove_file(dir.path().join(KEY_FILE)).expect("was there");
        assert!(matches!(load_or_create(dir.path(), &[], NOW), Err(Error::KeyMissing)));
    }
}
