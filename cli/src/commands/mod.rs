//! One file per group of commands: read the arguments, ask the daemon, hand the answer to the screen.
pub mod backup;
pub mod channel;
pub mod events;
pub mod forward;
pub mod graph;
pub mod invoice;
pub mod liquidity;
pub mod macaroon;
pub mod node;
pub mod offer;
pub mod options;
pub mod pay;
pub mod payment;
pub mod peer;
pub mod probe;
pub mod rebalance;
pub mod route;
pub mod setup;
pub mod store;
pub mod wallet;

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    #[test]
    fn every_method_of_the_api_has_a_command() {
        let sources = [
            ("Node", include_str!("node.rs")),
            (
                "Wallet",
                concat!(
                    include_str!("wallet.rs"),
                    include_str!("wallet/bump.rs"),
                    include_str!("wallet/leases.rs"),
                    include_str!("wallet/labels.rs"),
                    include_str!("wallet/psbt.rs")
                ),
            ),
            ("Peers", include_str!("peer.rs")),
            (
                "Channels",
                concat!(
                    include_str!("channel.rs"),
                    include_str!("channel/policy.rs"),
                    include_str!("channel/decide.rs"),
                    include_str!("channel/batch.rs"),
                    include_str!("channel/fund.rs")
                ),
            ),
            ("Invoices", include_str!("invoice.rs")),
            ("Offers", concat!(include_str!("offer/mod.rs"), include_str!("offer/refund.rs"))),
            (
                "Payments",
                concat!(
                    include_str!("pay/mod.rs"),
                    include_str!("pay/decode.rs"),
                    include_str!("pay/given.rs"),
                    include_str!("payment.rs"),
                    include_str!("rebalance.rs"),
                    include_str!("probe.rs")
                ),
            ),
            ("Forwards", include_str!("forward.rs")),
            (
                "Graph",
                concat!(
                    include_str!("graph.rs"),
                    include_str!("pay/given.rs"),
                    include_str!("route.rs"),
                    include_str!("options/names.rs"),
                    include_str!("liquidity.rs")
                ),
            ),
            ("Events", include_str!("events.rs")),
            ("Store", include_str!("store.rs")),
            ("Access", include_str!("macaroon.rs")),
            ("Backup", include_str!("backup.rs")),
        ];
        let pool = DescriptorPool::decode(fulmen_proto::v1::FILE_DESCRIPTOR_SET).expect("compiled");
        for service in pool.services() {
            let (_, source) = sources
                .iter()
                .find(|(name, _)| *name == service.name())
                .unwrap_or_else(|| panic!("no commands for the service {}", service.name()));
            for method in service.methods() {
                let call = format!(".{}({}", snake(method.name()), method.input().name());
                let found = source.contains(&call)
                    || source.contains(&format!(".{}(request", snake(method.name())));
                assert!(found, "no command calls {}: {call}", method.full_name());
            }
        }
    }

    fn snake(name: &str) -> String {
        let mut snake = String::new();
        for c in name.chars() {
            if c.is_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.extend(c.to_lowercase());
        }
        snake
    }
}
