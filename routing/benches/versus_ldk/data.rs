//! Finds the graph to measure on.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use fulmen_routing::View;
use fulmen_routing::fixture::{csv, synthetic};
use lightning::bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};

/// Loads the graph of a folder, of `FULMEN_GRAPH`, of `../shared/mainnet-graph` beside the repository, or
/// makes one up; says which.
pub fn load(folder: Option<&str>) -> (View, String) {
    let asked =
        folder.map(PathBuf::from).or_else(|| std::env::var_os("FULMEN_GRAPH").map(PathBuf::from));
    if let Some(folder) = asked {
        let view = read(&folder)
            .unwrap_or_else(|| panic!("no graph can be read from {}", folder.display()));
        return (view, folder.display().to_string());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for beside in ["../shared/mainnet-graph", "../../shared/mainnet-graph"] {
        if let Some(view) = read(&root.join(beside)) {
            return (view, "mainnet, February 2026".into());
        }
    }
    (synthetic::generate_with(1, 7_000, 34_000, point), "synthetic, seed 1".into())
}

fn read(folder: &Path) -> Option<View> {
    let text = |name: &str| {
        let mut text = String::new();
        GzDecoder::new(File::open(folder.join(name)).ok()?).read_to_string(&mut text).ok()?;
        Some(text)
    };
    csv::parse(&text("nodes.csv.gz")?, &text("channels.csv.gz")?).ok()
}

/// Returns a key that is a point of the curve, as LDK asks.
fn point(number: usize) -> [u8; 33] {
    let mut secret = [1; 32];
    secret[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let secret = SecretKey::from_slice(&secret).expect("below the order of the curve");
    PublicKey::from_secret_key(&Secp256k1::new(), &secret).serialize()
}
