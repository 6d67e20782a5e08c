//! Macaroons as operators hand them out: baked, narrowed, revoked, rotated away.
use anyhow::{Context as _, Result, ensure};
use fulmen_integration::cli::{hex, unhex};
use fulmen_integration::daemon::Node;
use fulmen_integration::network::Topology;
use fulmen_integration::network::funding::Plan;
use fulmen_integration::scenario;
use fulmen_integration::steps::{channel, refused};
use fulmen_proto::dial::Connection;
use fulmen_proto::v1::channels_client::ChannelsClient;
use fulmen_proto::v1::event::What;
use fulmen_proto::v1::events_client::EventsClient;
use fulmen_proto::v1::node_client::NodeClient;
use fulmen_proto::v1::peers_client::PeersClient;
use fulmen_proto::v1::set_policy_request::Which;
use fulmen_proto::v1::{
    AttenuateMacaroonRequest, BakeMacaroonRequest, BakeMacaroonResponse, ConnectPeerRequest,
    GetInfoRequest, InspectMacaroonRequest, ListMacaroonsRequest, RevokeMacaroonRequest,
    RotateRootKeyRequest, SetPolicyRequest, SubscribeEventsRequest,
};
use tonic::Code;

async fn bake(node: &Node, caveats: &[&str]) -> Result<BakeMacaroonResponse> {
    let caveats = caveats.iter().map(|caveat| (*caveat).to_owned()).collect();
    let request = BakeMacaroonRequest { name: "test".to_owned(), caveats };
    Ok(node.access().bake(request).await?.into_inner())
}

async fn info(connection: &Connection) -> Result<(), tonic::Status> {
    NodeClient::new(connection.clone()).get_info(GetInfoRequest {}).await.map(drop)
}

#[test]
fn a_revoked_macaroon_is_refused_and_its_streams_end() {
    scenario::run("revoke", async |network| {
        network.add_nodes(1).await?;
        let alice = &network.nodes[0];
        let baked = bake(alice, &["permission = info:read,events:read"]).await?;
        let id = baked.info.clone().context("it is shown")?.macaroon_id;
        let reader = alice.dial_with(&baked.macaroon).await?;
        info(&reader).await?;
        let follow = SubscribeEventsRequest { from_now: true, ..Default::default() };
        let mut stream = EventsClient::new(reader.clone()).subscribe(follow).await?.into_inner();

        // Another is not concerned.
        let other = bake(alice, &["permission = info:read"]).await?;
        let revoke = RevokeMacaroonRequest { macaroon_id: id.clone() };
        let revoked = alice.access().revoke(revoke.clone()).await?.into_inner();
        ensure!(revoked.info.is_some_and(|info| info.revoked_at > 0));
        let ended = loop {
            match stream.message().await {
                Ok(Some(_)) => continue,
                ended => break ended,
            }
        };
        refused(ended, Code::Unauthenticated, "revoked")?;
        refused(info(&reader).await, Code::Unauthenticated, "revoked")?;
        info(&alice.dial_with(&other.macaroon).await?).await?;

        // For good, and over a kill; the one that revokes cannot revoke itself.
        network.nodes[0].kill()?;
        network.nodes[0].launch().await?;
        let alice = &network.nodes[0];
        let reader = alice.dial_with(&baked.macaroon).await?;
        refused(info(&reader).await, Code::Unauthenticated, "revoked")?;
        let listed = alice.access().list(ListMacaroonsRequest { page: None }).await?.into_inner();
        ensure!(listed.macaroons.len() == 5, "three files and two baked: {listed:?}");
        let admin = listed.macaroons.iter().find(|it| it.name == "admin").context("listed")?;
        let revoke = RevokeMacaroonRequest { macaroon_id: admin.macaroon_id.clone() };
        refused(alice.access().revoke(revoke).await, Code::FailedPrecondition, "this very")?;

        // The journal says who revoked it.
        let journal = SubscribeEventsRequest { until_now: true, ..Default::default() };
        let mut events = alice.events().subscribe(journal).await?.into_inner();
        let mut called = Vec::new();
        while let Some(event) = events.message().await? {
            if let Some(What::MacaroonUsed(used)) = event.what {
                ensure!(used.macaroon_id == admin.macaroon_id, "{used:?}");
                called.push(used.method);
            }
        }
        ensure!(called.iter().any(|method| method.ends_with("Access/Revoke")), "{called:?}");
        Ok(())
    });
}

#[test]
fn a_macaroon_does_only_what_its_conditions_say() {
    scenario::run("caveats", async |network| {
        network.build(&Plan::balanced(Topology::Line(3))).await?;
        let [alice, bob, carol] = &network.nodes[..] else { unreachable!("a line of three") };
        let bob_id = hex(&bob.id());
        let only_bob = bake(alice, &[&format!("peer = {bob_id}")]).await?;
        let mut peers = PeersClient::new(alice.dial_with(&only_bob.macaroon).await?);
        let connect =
            |node: &Node| ConnectPeerRequest { node_id: node.id(), address: node.address() };
        peers.connect(connect(bob)).await?;
        refused(peers.connect(connect(carol)).await, Code::PermissionDenied, "peer")?;
        let connection = alice.dial_with(&only_bob.macaroon).await?;
        refused(info(&connection).await, Code::PermissionDenied, "method")?;

        // Bob's two channels: the macaroon is for one of them.
        let with_alice = channel::between(bob, alice).await?;
        let with_carol = channel::between(bob, carol).await?;
        let bound = format!("channel = {}", hex(&with_alice.channel_id));
        let bound = bake(bob, &[&bound]).await?;
        let mut channels = ChannelsClient::new(bob.dial_with(&bound.macaroon).await?);
        let policy = |which| SetPolicyRequest {
            which: Some(which),
            base_fee_msat: Some(7),
            ..SetPolicyRequest::default()
        };
        let one = |id: &[u8]| policy(Which::Channel(channel::reference(id)));
        channels.set_policy(one(&with_alice.channel_id)).await?;
        let outcome = channels.set_policy(one(&with_carol.channel_id)).await;
        refused(outcome, Code::PermissionDenied, "channel")?;
        let outcome = channels.set_policy(policy(Which::All(true))).await;
        refused(outcome, Code::PermissionDenied, "channel")?;
        let outcome = channels.close(channel::close_request(&with_carol.channel_id)).await;
        refused(outcome, Code::PermissionDenied, "channel")?;

        // Weaker by one more condition, with the same id.
        let request = AttenuateMacaroonRequest {
            macaroon: bound.macaroon.clone(),
            caveats: vec!["method = Channels/Get".to_owned()],
        };
        let weaker = bob.access().attenuate(request).await?.into_inner().macaroon;
        let mut channels = ChannelsClient::new(bob.dial_with(&weaker).await?);
        let outcome = channels.set_policy(one(&with_alice.channel_id)).await;
        refused(outcome, Code::PermissionDenied, "method")?;
        let request = InspectMacaroonRequest { macaroon: weaker };
        let inspected = bob.access().inspect(request).await?.into_inner();
        ensure!(inspected.caveats.len() == 2 && inspected.problem.is_empty(), "{inspected:?}");
        let known = inspected.info.map(|info| info.macaroon_id);
        ensure!(known == bound.info.map(|info| info.macaroon_id));

        // A web page in the operator's browser is refused even with the macaroon.
        let mut request = tonic::Request::new(GetInfoRequest {});
        request.metadata_mut().insert("origin", "https://example.com".parse()?);
        refused(alice.node().get_info(request).await, Code::PermissionDenied, "web pages")?;
        Ok(())
    });
}

#[test]
fn a_rotation_makes_all_but_the_new_files_worthless() {
    scenario::run("rotate", async |network| {
        network.add_nodes(1).await?;
        let alice = &network.nodes[0];
        let baked = bake(alice, &[]).await?;
        let old = alice.dial_as("admin").await?;
        let rotated = alice.access().rotate_root_key(RotateRootKeyRequest {}).await?.into_inner();
        ensure!(rotated.root_key == 1);
        refused(info(&old).await, Code::Unauthenticated, "rotated")?;
        let shop = alice.dial_with(&baked.macaroon).await?;
        refused(info(&shop).await, Code::Unauthenticated, "rotated")?;
        info(&alice.dial_as("readonly").await?).await?;
        network.nodes[0].restart().await?;
        let alice = &network.nodes[0];
        refused(info(&alice.dial_with(&baked.macaroon).await?).await, Code::Unauthenticated, "")?;
        Ok(())
    });
}

#[test]
fn operators_hand_macaroons_out_by_the_command_line() {
    scenario::run("macaroon", async |network| {
        network.add_nodes(1).await?;
        let alice = network.nodes[0].cli()?;
        let file = network.nodes[0].dir().join("shop.macaroon");
        let file = file.to_str().context("a path of text")?;
        let options = ["--permission", "info:read,invoices:write", "--expires", "1h"];
        let bake = [&["macaroon", "bake", "shop"], &options[..], &["--save", file]].concat();
        let said = alice.ok(&bake).await?;
        ensure!(said.contains("permission = info:read,invoices:write; before = "), "{said}");
        ensure!(alice.fails(1, &bake).await?.contains("cannot write"), "it is not replaced");
        ensure!(alice.ok(&["--macaroon", file, "info"]).await?.contains("synced"));
        alice.fails(4, &["--macaroon", file, "address"]).await?;

        let weaker = ["macaroon", "attenuate", file, "--method", "Invoices/Create"];
        let weaker = alice.json(&weaker).await?;
        let weaker = weaker.pointer("/macaroon").and_then(|it| it.as_str()).context("in hex")?;
        ensure!(unhex(weaker)?.len() > unhex(&hex(&std::fs::read(file)?))?.len());
        let said = alice.ok(&["macaroon", "inspect", weaker]).await?;
        ensure!(said.contains("accepted") && said.contains("Invoices/Create"), "{said}");

        let listed = alice.json(&["macaroon", "list"]).await?;
        let shops: Vec<&str> = listed
            .pointer("/macaroons")
            .and_then(|it| it.as_array())
            .into_iter()
            .flatten()
            .filter(|it| it.pointer("/name").is_some_and(|name| name == "shop"))
            .filter_map(|it| it.pointer("/macaroon_id").and_then(|id| id.as_str()))
            .collect();
        ensure!(shops.len() == 2, "the one that could not be saved is there too: {listed}");
        for shop in &shops {
            ensure!(alice.ok(&["macaroon", "revoke", shop]).await?.contains("shop"));
        }
        let said = alice.fails(4, &["--macaroon", file, "info"]).await?;
        ensure!(said.contains("revoked") && said.contains("macaroon bake"), "{said}");
        ensure!(alice.ok(&["macaroon", "list"]).await?.contains("revoked"));
        let said = alice.fails(2, &["macaroon", "bake", "--permission", "payment:write"]).await?;
        ensure!(said.contains("names no entity"), "{said}");
        alice.ok(&["macaroon", "rotate", "--yes"]).await?;
        alice.ok(&["info"]).await?;
        network.nodes[0].restart().await?;
        Ok(())
    });
}
