//! Compiles the `.proto` files with protox, so that no protoc has to be installed.
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "types", "routes", "node", "wallet", "peers", "channels", "invoices", "payments", "offers",
        "forwards", "graph", "events", "store", "backup",
    ]
    .map(|name| format!("fulmen/v1/{name}.proto"));
    println!("cargo:rerun-if-changed=fulmen");
    let descriptors = protox::compile(&files, ["."])?;
    let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out_dir.join("fulmen.bin"), prost_encode(&descriptors))?;
    // Each message knows its own name: the CLI prints any of them as JSON by its descriptor.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}

fn prost_encode(descriptors: &impl prost::Message) -> Vec<u8> {
    descriptors.encode_to_vec()
}
