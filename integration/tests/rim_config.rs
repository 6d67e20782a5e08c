//! Configuration and clocks as people get them wrong: texts, paths, networks, addresses, a bitcoind that is away.
use anyhow::ensure;
use fulmen_integration::binaries;
use fulmen_integration::scenario;
use fulmen_integration::steps::refused;
use fulmen_proto::v1::ConnectPeerRequest;
use tonic::Code;

#[test]
fn an_onion_address_is_refused_in_words_and_never_resolved() {
    scenario::run("onion", async |network| {
        network.add_nodes(2).await?;
        let [alice, bob] = &network.nodes[..] else { unreachable!("two were added") };
        for (address, code, words) in [
            (
                format!("{}d.onion:9735", "a".repeat(55)),
                Code::FailedPrecondition,
                "no proxy for Tor",
            ),
            ("short.onion:9735".to_owned(), Code::InvalidArgument, "host:port"),
        ] {
            let request = ConnectPeerRequest { node_id: bob.id(), address };
            refused(alice.peers().connect(request).await, code, words)?;
        }
        Ok(())
    });
}

#[test]
fn a_daemon_that_finds_the_seed_of_another_network_says_so_and_create_names_the_network() {
    scenario::run("networks", async |network| {
        let alice = network.create_node("alice").await?;
        let run = async |arguments: &[&str]| {
            let mut command = tokio::process::Command::new(&binaries::get()?.fulmend);
            command.arg("--dir").arg(alice.dir()).args(arguments);
            let output = command.output().await?;
            let out = [output.stdout, output.stderr].concat();
            anyhow::Ok((output.status.success(), String::from_utf8_lossy(&out).into_owned()))
        };
        let (started, said) = run(&["--network", "signet"]).await?;
        ensure!(
            !started && said.contains("one for regtest: start `fulmend --network regtest`"),
            "{said}"
        );
        let (made, said) = run(&["--network", "signet", "create"]).await?;
        ensure!(made && said.contains("--network signet`"), "{said}");
        Ok(())
    });
}

#[test]
fn a_password_of_digits_is_a_password_and_is_never_printed() {
    scenario::run("password", async |network| {
        let alice = network.create_node("alice").await?;
        let mut command = tokio::process::Command::new(&binaries::get()?.fulmend);
        command.args(alice.place()).env("FULMEN_BITCOIND_RPC_PASSWORD", "31337");
        let output = command.output().await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // It is read; what is missing is the user.
        ensure!(!output.status.success() && said.contains("rpc_user"), "{said}");
        ensure!(!said.contains("31337") && !said.contains("integer"), "{said}");
        Ok(())
    });
}
