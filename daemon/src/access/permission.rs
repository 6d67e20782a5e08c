//! The permission that each method needs: one table; a method that is not in it is refused.

/// What a caller wants to do with an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read it.
    Read,
    /// Change it.
    Write,
}

impl Action {
    /// The word in a caveat.
    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Write => "write",
        }
    }
}

/// A permission as caveats name it: `entity:action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permission {
    /// `payments`, `wallet`, ...
    pub entity: &'static str,
    /// Whether it is read or changed.
    pub action: Action,
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.entity, self.action.name())
    }
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone who can connect: it reveals nothing about the node.
    Public,
    /// The bearer of a macaroon with this permission.
    Needs(Permission),
}

/// Returns a method's path and who may call it; none if the method is not served.
pub fn of_method(path: &str) -> Option<(&'static str, Access)> {
    METHODS.iter().find(|(method, _)| *method == path).copied()
}

/// Whether the journal names the macaroon of each call of a method: what changes money, channels or access.
pub fn is_audited(method: &str, permission: Permission) -> bool {
    permission.action == Action::Write
        && ["wallet", "channels", "access", "node", "store", "backup"].contains(&permission.entity)
        && method != "/fulmen.v1.Wallet/NewAddress"
}

/// The methods that check the peer that they are about; a macaroon with a `peer` caveat calls no other.
pub const CHECK_PEER: &[&str] =
    &["/fulmen.v1.Peers/Connect", "/fulmen.v1.Peers/Disconnect", "/fulmen.v1.Channels/Open"];

/// The methods that check the channel that they are about; a macaroon with a `channel` caveat calls no other.
pub const CHECK_CHANNEL: &[&str] =
    &["/fulmen.v1.Channels/Close", "/fulmen.v1.Channels/SetPolicy", "/fulmen.v1.Channels/Get"];

pub(super) const fn read(entity: &'static str) -> Access {
    Access::Needs(Permission { entity, action: Action::Read })
}

pub(super) const fn write(entity: &'static str) -> Access {
    Access::Needs(Permission { entity, action: Action::Write })
}

/// Every entity of a permission.
pub const ENTITIES: &[&str] = &[
    "info", "node", "message", "wallet", "peers", "channels", "invoices", "offers", "payments",
    "forwards", "graph", "events", "store", "backup", "access",
];

/// Each method with who may call it.
pub const METHODS: &[(&str, Access)] = &[
    ("/fulmen.v1.Node/GetInfo", read("info")),
    ("/fulmen.v1.Node/GetFeerates", read("info")),
    ("/fulmen.v1.Node/GetBalances", read("wallet")),
    ("/fulmen.v1.Node/SignMessage", write("message")),
    ("/fulmen.v1.Node/VerifyMessage", read("message")),
    ("/fulmen.v1.Node/Stop", write("node")),
    ("/fulmen.v1.Wallet/NewAddress", write("wallet")),
    ("/fulmen.v1.Wallet/GetBalance", read("wallet")),
    ("/fulmen.v1.Wallet/Send", write("wallet")),
    ("/fulmen.v1.Wallet/Bump", write("wallet")),
    ("/fulmen.v1.Wallet/LeaseOutput", write("wallet")),
    ("/fulmen.v1.Wallet/ReleaseOutput", write("wallet")),
    ("/fulmen.v1.Wallet/ListLeases", read("wallet")),
    ("/fulmen.v1.Wallet/SetLabel", write("wallet")),
    ("/fulmen.v1.Wallet/ExportLabels", read("wallet")),
    ("/fulmen.v1.Wallet/ImportLabels", write("wallet")),
    ("/fulmen.v1.Wallet/FundPsbt", write("wallet")),
    ("/fulmen.v1.Wallet/SignPsbt", write("wallet")),
    ("/fulmen.v1.Wallet/FinalizePsbt", read("wallet")),
    ("/fulmen.v1.Wallet/Publish", write("wallet")),
    ("/fulmen.v1.Wallet/ListTransactions", read("wallet")),
    ("/fulmen.v1.Wallet/ListUnspent", read("wallet")),
    ("/fulmen.v1.Backup/Export", read("backup")),
    ("/fulmen.v1.Backup/Subscribe", read("backup")),
    ("/fulmen.v1.Backup/Verify", read("backup")),
    ("/fulmen.v1.Backup/Restore", write("backup")),
    ("/fulmen.v1.Backup/GetStatus", read("backup")),
    ("/fulmen.v1.Peers/Connect", write("peers")),
    ("/fulmen.v1.Peers/Disconnect", write("peers")),
    ("/fulmen.v1.Peers/List", read("peers")),
    ("/fulmen.v1.Channels/Open", write("channels")),
    ("/fulmen.v1.Channels/OpenBatch", write("channels")),
    ("/fulmen.v1.Channels/FundOpen", write("channels")),
    ("/fulmen.v1.Channels/Close", write("channels")),
    ("/fulmen.v1.Channels/SetPolicy", write("channels")),
    ("/fulmen.v1.Channels/ListNewPolicies", read("channels")),
    ("/fulmen.v1.Channels/DecideOpens", write("channels")),
    ("/fulmen.v1.Channels/List", read("channels")),
    ("/fulmen.v1.Channels/Get", read("channels")),
    ("/fulmen.v1.Channels/ListClosed", read("channels")),
    ("/fulmen.v1.Invoices/Create", write("invoices")),
    ("/fulmen.v1.Invoices/Cancel", write("invoices")),
    ("/fulmen.v1.Invoices/Settle", write("invoices")),
    ("/fulmen.v1.Invoices/Get", read("invoices")),
    ("/fulmen.v1.Invoices/List", read("invoices")),
    ("/fulmen.v1.Invoices/Watch", read("invoices")),
    ("/fulmen.v1.Invoices/SubscribeReceived", read("invoices")),
    ("/fulmen.v1.Invoices/Decode", read("invoices")),
    ("/fulmen.v1.Offers/Create", write("offers")),
    ("/fulmen.v1.Offers/SetEnabled", write("offers")),
    ("/fulmen.v1.Offers/Get", read("offers")),
    ("/fulmen.v1.Offers/List", read("offers")),
    // It lets its bearer take money from this node.
    ("/fulmen.v1.Offers/GiveRefund", write("payments")),
    ("/fulmen.v1.Offers/RedeemRefund", write("offers")),
    ("/fulmen.v1.Payments/Decode", read("payments")),
    ("/fulmen.v1.Payments/Pay", write("payments")),
    ("/fulmen.v1.Payments/Keysend", write("payments")),
    ("/fulmen.v1.Payments/SendToRoute", write("payments")),
    ("/fulmen.v1.Payments/Rebalance", write("payments")),
    ("/fulmen.v1.Payments/Probe", write("payments")),
    ("/fulmen.v1.Payments/Cancel", write("payments")),
    ("/fulmen.v1.Payments/Get", read("payments")),
    ("/fulmen.v1.Payments/List", read("payments")),
    ("/fulmen.v1.Payments/Watch", read("payments")),
    ("/fulmen.v1.Forwards/List", read("forwards")),
    ("/fulmen.v1.Forwards/Summarize", read("forwards")),
    ("/fulmen.v1.Graph/Summarize", read("graph")),
    ("/fulmen.v1.Graph/GetNode", read("graph")),
    ("/fulmen.v1.Graph/GetAliases", read("graph")),
    ("/fulmen.v1.Graph/GetChannel", read("graph")),
    // They reveal roughly what our channels can send.
    ("/fulmen.v1.Graph/FindRoute", read("payments")),
    ("/fulmen.v1.Graph/EstimateFee", read("payments")),
    ("/fulmen.v1.Graph/BuildRoute", read("payments")),
    // They reveal where payments went, and decide where payments go.
    ("/fulmen.v1.Graph/ExportLiquidity", read("payments")),
    ("/fulmen.v1.Graph/ImportLiquidity", write("payments")),
    ("/fulmen.v1.Graph/ResetLiquidity", write("payments")),
    ("/fulmen.v1.Events/Subscribe", read("events")),
    ("/fulmen.v1.Events/List", read("events")),
    ("/fulmen.v1.Store/Check", read("store")),
    ("/fulmen.v1.Store/Stats", read("store")),
    ("/fulmen.v1.Store/Export", write("store")),
    ("/fulmen.v1.Store/Compact", write("store")),
    ("/fulmen.v1.Access/Bake", write("access")),
    ("/fulmen.v1.Access/List", read("access")),
    ("/fulmen.v1.Access/Inspect", read("access")),
    // It makes something weaker of what the caller has.
    ("/fulmen.v1.Access/Attenuate", read("access")),
    ("/fulmen.v1.Access/Revoke", write("access")),
    ("/fulmen.v1.Access/RotateRootKey", write("access")),
    ("/grpc.health.v1.Health/Check", Access::Public),
    ("/grpc.health.v1.Health/Watch", Access::Public),
    ("/grpc.health.v1.Health/List", Access::Public),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Access::Public),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Access::Public),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_and_reflection_are_public() {
        for (path, access) in METHODS {
            assert_eq!(*access == Access::Public, path.starts_with("/grpc."), "{path}");
            if let Access::Needs(permission) = access {
                assert!(ENTITIES.contains(&permission.entity), "{permission}");
            }
        }
    }

    #[test]
    fn methods_that_are_named_exist() {
        for path in CHECK_PEER.iter().chain(CHECK_CHANNEL) {
            assert!(of_method(path).is_some(), "{path}");
        }
    }

    #[test]
    fn what_is_not_listed_is_not_served() {
        let info = of_method("/fulmen.v1.Node/GetInfo");
        assert_eq!(info, Some(("/fulmen.v1.Node/GetInfo", read("info"))));
        for path in ["/fulmen.v1.Node/Other", "/fulmen.v1.Node/GetInfo/", "", "GetInfo"] {
            assert_eq!(of_method(path), None);
        }
    }
}
