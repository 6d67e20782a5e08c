//! The harness itself: bitcoind, the faucet, and reorganisations, before any daemon is asked.
use anyhow::{Result, ensure};
use bitcoincore_rpc::RpcApi as _;
use fulmen_integration::bitcoind::{Bitcoind, Faucet, node::Options};
use fulmen_integration::scratch::Scratch;

#[tokio::test(flavor = "multi_thread")]
async fn the_faucet_gives_and_survives_a_reorganisation_and_a_kill() -> Result<()> {
    let scratch = Scratch::new("harness")?;
    let mut bitcoind = Bitcoind::start(&scratch.folder("bitcoind")?, Options::default()).await?;
    let mut faucet = Faucet::open(&bitcoind)?;
    let somebody = faucet.address();
    let first = faucet.give(&bitcoind, &[(somebody.clone(), 1_000_000), (somebody, 5_000)])?;
    faucet.mine(&bitcoind, 2)?;
    let confirmed = |bitcoind: &Bitcoind| -> Result<bool> {
        let client = bitcoind.client()?;
        Ok(client.get_tx_out(&first.txid, first.vout, Some(false))?.is_some())
    };
    ensure!(confirmed(&bitcoind)?, "the gift is mined");

    faucet.disconnect(&bitcoind, 2)?;
    ensure!(!confirmed(&bitcoind)?, "its block is gone");
    ensure!(bitcoind.mempool()? == [first.txid], "it waits again");
    faucet.mine_empty(&bitcoind, 2)?;
    ensure!(!confirmed(&bitcoind)?, "empty blocks do not hold it");
    faucet.mine(&bitcoind, 1)?;
    ensure!(confirmed(&bitcoind)?, "it is mined again");

    let tip = bitcoind.tip()?;
    bitcoind.stop().await?;
    bitcoind.launch().await?;
    ensure!(bitcoind.tip()? == tip, "the chain survives a restart");
    bitcoind.kill()?;
    bitcoind.launch().await?;
    faucet.mine(&bitcoind, 1)?;
    Ok(())
}
