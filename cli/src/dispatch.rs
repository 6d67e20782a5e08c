//! Which command was typed, and who carries it out.
use clap::CommandFactory as _;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::render::Screen;
use crate::session::Session;

/// Carries out one command.
pub async fn run(args: Args, screen: Screen) -> Result<(), Failure> {
    let session = match args.command {
        // These need no daemon that runs.
        Command::Create(create) => return create.run(&args.place, screen).await,
        Command::Seed(group) => return group.run(&args.place).await,
        Command::Completions(completions) => return completions.run(Args::command(), screen),
        _ if args.wait_start => Session::open_once_started(&args.place, screen).await?,
        _ => Session::open(&args.place, screen).await?,
    };
    match args.command {
        Command::Create(_) | Command::Seed(_) | Command::Completions(_) => Ok(()),
        Command::Info(command) => command.run(&session).await,
        Command::Balance(command) => command.run(&session).await,
        Command::Address(command) => command.run(&session).await,
        Command::Send(command) => command.run(&session).await,
        Command::Connect(command) => command.run(&session).await,
        Command::Peers(command) => command.run(&session).await,
        Command::Open(command) => command.run(&session).await,
        Command::Close(command) => command.run(&session).await,
        Command::Channels(command) => command.run(&session).await,
        Command::Pay(command) => command.run(&session).await,
        Command::Keysend(command) => command.run(&session).await,
        Command::Payments(command) => command.run(&session).await,
        Command::Probe(command) => command.run(&session).await,
        Command::Invoice(group) => group.run(&session).await,
        Command::Offer(group) => group.run(&session).await,
        Command::Offers(command) => command.run(&session).await,
        Command::Refund(group) => group.run(&session).await,
        Command::Invoices(command) => command.run(&session).await,
        Command::Decode(command) => command.run(&session).await,
        Command::Events(command) => command.run(&session).await,
        Command::Node(group) => group.run(&session).await,
        Command::Wallet(group) => group.run(&session).await,
        Command::Peer(group) => group.run(&session).await,
        Command::Channel(group) => group.run(&session).await,
        Command::Payment(group) => group.run(&session).await,
        Command::Forward(group) => group.run(&session).await,
        Command::Graph(group) => group.run(&session).await,
        Command::Store(group) => group.run(&session).await,
        Command::Backup(group) => group.run(&session).await,
    }
}
