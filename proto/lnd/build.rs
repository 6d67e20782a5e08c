//! Compiles the `.proto` files with protox, so that no protoc has to be installed.
use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "lnrpc/lightning",
        "lnrpc/stateservice",
        "lnrpc/walletunlocker",
        "routerrpc/router",
        "invoicesrpc/invoices",
        "walletrpc/walletkit",
        "signrpc/signer",
        "chainrpc/chainkit",
        "chainrpc/chainnotifier",
        "verrpc/verrpc",
        "peersrpc/peers",
    ]
    .map(|name| format!("{name}.proto"));
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["."])?;
    let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out_dir.join("lnd.bin"), descriptors.encode_to_vec())?;
    // A service of the daemon writes only the methods that it serves; the others answer `UNIMPLEMENTED`.
    tonic_prost_build::configure().generate_default_stubs(true).compile_fds(descriptors)?;
    Ok(())
}
