//! The permission of each method of lnd's API that is served; the others answer that they are not there.
//!
//! The entities are ours, so that one macaroon serves both interfaces.

use super::permission::{Access, read, write};

/// Returns a method's path and who may call it; none if the method is not served.
pub fn of_method(path: &str) -> Option<(&'static str, Access)> {
    METHODS.iter().find(|(method, _)| *method == path).copied()
}

/// Each method with who may call it.
pub const METHODS: &[(&str, Access)] = &[
    ("/lnrpc.Lightning/GetInfo", read("info")),
    ("/lnrpc.Lightning/GetRecoveryInfo", read("info")),
    ("/lnrpc.Lightning/StopDaemon", write("node")),
    ("/lnrpc.Lightning/WalletBalance", read("wallet")),
    ("/lnrpc.Lightning/NewAddress", write("wallet")),
    ("/lnrpc.Lightning/SendCoins", write("wallet")),
    ("/lnrpc.Lightning/ListUnspent", read("wallet")),
    ("/lnrpc.Lightning/GetTransactions", read("wallet")),
    ("/lnrpc.Lightning/SubscribeTransactions", read("wallet")),
    ("/lnrpc.Lightning/ConnectPeer", write("peers")),
    ("/lnrpc.Lightning/DisconnectPeer", write("peers")),
    ("/lnrpc.Lightning/ListPeers", read("peers")),
    ("/lnrpc.Lightning/ChannelBalance", read("channels")),
    ("/lnrpc.Lightning/ListChannels", read("channels")),
    ("/lnrpc.Lightning/PendingChannels", read("channels")),
    ("/lnrpc.Lightning/ClosedChannels", read("channels")),
    ("/lnrpc.Lightning/SubscribeChannelEvents", read("channels")),
    ("/lnrpc.Lightning/OpenChannel", write("channels")),
    ("/lnrpc.Lightning/OpenChannelSync", write("channels")),
    ("/lnrpc.Lightning/CloseChannel", write("channels")),
    ("/lnrpc.Lightning/AddInvoice", write("invoices")),
    ("/lnrpc.Lightning/LookupInvoice", read("invoices")),
    ("/lnrpc.Lightning/ListInvoices", read("invoices")),
    ("/lnrpc.Lightning/SubscribeInvoices", read("invoices")),
    ("/lnrpc.Lightning/DecodePayReq", read("payments")),
    ("/lnrpc.Lightning/SendPaymentSync", write("payments")),
    ("/lnrpc.Lightning/ListPayments", read("payments")),
    ("/lnrpc.Lightning/DescribeGraph", read("graph")),
    ("/lnrpc.Lightning/GetChanInfo", read("graph")),
    ("/lnrpc.Lightning/GetNodeInfo", read("graph")),
    ("/lnrpc.Lightning/GetNetworkInfo", read("graph")),
    ("/lnrpc.Lightning/QueryRoutes", read("payments")),
    ("/lnrpc.Lightning/FeeReport", read("channels")),
    ("/lnrpc.Lightning/ForwardingHistory", read("forwards")),
    ("/lnrpc.Lightning/UpdateChannelPolicy", write("channels")),
    ("/lnrpc.Lightning/SignMessage", write("message")),
    ("/lnrpc.Lightning/VerifyMessage", read("message")),
    ("/routerrpc.Router/SendPaymentV2", write("payments")),
    ("/routerrpc.Router/TrackPaymentV2", read("payments")),
    ("/routerrpc.Router/TrackPayments", read("payments")),
    ("/routerrpc.Router/EstimateRouteFee", read("payments")),
    ("/routerrpc.Router/QueryMissionControl", read("payments")),
    ("/invoicesrpc.Invoices/AddHoldInvoice", write("invoices")),
    ("/invoicesrpc.Invoices/SettleInvoice", write("invoices")),
    ("/invoicesrpc.Invoices/CancelInvoice", write("invoices")),
    ("/invoicesrpc.Invoices/SubscribeSingleInvoice", read("invoices")),
    ("/invoicesrpc.Invoices/LookupInvoiceV2", read("invoices")),
    ("/walletrpc.WalletKit/ListUnspent", read("wallet")),
    ("/walletrpc.WalletKit/NextAddr", write("wallet")),
    ("/walletrpc.WalletKit/GetTransaction", read("wallet")),
    ("/walletrpc.WalletKit/EstimateFee", read("wallet")),
    ("/walletrpc.WalletKit/RequiredReserve", read("wallet")),
    ("/walletrpc.WalletKit/ListAccounts", read("wallet")),
    ("/chainrpc.ChainNotifier/RegisterBlockEpochNtfn", read("info")),
    ("/verrpc.Versioner/GetVersion", read("info")),
    // They reveal no more than that a daemon is starting.
    ("/lnrpc.State/GetState", Access::Public),
    ("/lnrpc.State/SubscribeState", Access::Public),
];

#[cfg(test)]
mod tests {
    use super::super::permission::ENTITIES;
    use super::*;

    #[test]
    fn only_the_state_is_public_and_every_entity_is_ours() {
        for (path, access) in METHODS {
            assert_eq!(*access == Access::Public, path.starts_with("/lnrpc.State/"), "{path}");
            if let Access::Needs(permission) = access {
                assert!(ENTITIES.contains(&permission.entity), "{permission}");
            }
        }
    }
}
