//! Certificate and macaroons where lnd's tools look for them.

use std::io;
use std::path::Path;

use bitcoin::Network;

use super::version::network_name;
use crate::private_file;

/// The macaroons that lnd's tools ask for by name.
const MACAROONS: [&str; 3] = ["admin.macaroon", "readonly.macaroon", "invoice.macaroon"];

/// What lnd itself keeps beside its macaroons.
const LNDS_OWN: [&str; 2] = ["macaroons.db", "wallet.db"];

/// Copies `tls.cert` and the macaroons of `data_dir` to `directory`, as lnd lays them out: `tls.cert`, and
/// `data/chain/bitcoin/NETWORK/*.macaroon`. A macaroon that the operator has removed is removed there as well.
///
/// # Errors
/// When a file cannot be read or written, or the directory is that of an lnd.
pub fn write(directory: &Path, data_dir: &Path, network: Network) -> io::Result<()> {
    let macaroons = directory.join("data/chain/bitcoin").join(network_name(network));
    if let Some(theirs) = LNDS_OWN.iter().find(|name| macaroons.join(name).exists()) {
        let words = format!(
            "{theirs} is there: this is the directory of an lnd, whose macaroons would be lost"
        );
        return Err(io::Error::other(words));
    }
    std::fs::create_dir_all(&macaroons)?;
    private_file::write(&directory.join("tls.cert"), &std::fs::read(data_dir.join("tls.cert"))?)?;
    for name in MACAROONS {
        let copy = macaroons.join(name);
        match private_file::read(&data_dir.join(name))? {
            Some(macaroon) => private_file::write(&copy, &macaroon)?,
            None => match std::fs::remove_file(&copy) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => (),
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_where_lnds_tools_look_and_go_when_their_originals_go() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (data, lnd) = (dir.path().join("data"), dir.path().join("lnd"));
        std::fs::create_dir(&data).expect("writable");
        for (name, text) in
            [("tls.cert", "pem"), ("admin.macaroon", "a"), ("invoice.macaroon", "i")]
        {
            std::fs::write(data.join(name), text).expect("writable");
        }
        write(&lnd, &data, Network::Bitcoin).expect("writable");
        let read = |path: &str| std::fs::read_to_string(lnd.join(path)).ok();
        assert_eq!(read("tls.cert").as_deref(), Some("pem"));
        let admin = "data/chain/bitcoin/mainnet/admin.macaroon";
        assert_eq!(read(admin).as_deref(), Some("a"));
        assert_eq!(read("data/chain/bitcoin/mainnet/readonly.macaroon"), None);
        std::fs::remove_file(data.join("admin.macaroon")).expect("was there");
        write(&lnd, &data, Network::Bitcoin).expect("writable");
        assert_eq!(read(admin), None);

        std::fs::write(lnd.join("data/chain/bitcoin/mainnet/wallet.db"), "lnd's")
            .expect("writable");
        let refused = write(&lnd, &data, Network::Bitcoin).expect_err("an lnd lives there");
        assert!(refused.to_string().starts_with("wallet.db is there"), "{refused}");
    }
}
