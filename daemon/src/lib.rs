//! The rooms of `fulmend`, top to bottom; a room uses only what stands below it.
//!
//! `daemon/README.md` has the map, three journeys through the rooms (a payment, a forward, a block), the invariants of
//! money with the tests that guard them, and the way from a log line to its cause. Begin there, then read
//! [`daemon`], which composes the rooms in seven stages, and [`events`], where LDK's events reach them.
//!
//! # Glossary
//!
//! Words that are not the field's own, or that the field uses for more than one thing.
//!
//! | word | meaning here |
//! |---|---|
//! | admission | the decision whether the node may take on a new obligation: store and chain in order ([`admission`]) |
//! | attempt | one call of LDK's send for a payment; a payment may have several, one after the other |
//! | batch | writes that become durable together or not at all |
//! | brother | one of the five rooms of the trade, which do not see each other |
//! | checkpoint | LDK's manager, monitor updates and unsent transactions of one moment, in one batch |
//! | commit | a batch on its way to the disk; a future that completes when it is durable |
//! | event | LDK's; delivered at least once |
//! | feerate | on chain, in sat/vB; a fee is an amount, a policy is what we charge for forwards |
//! | gate | holds output back until the checkpoint that it follows from is durable (output commit) |
//! | held | waiting at the gate: messages, transactions |
//! | journal entry | what happened, for users, in the order in which it became durable |
//! | liquidity | what past payments taught about channels' balances; lnd's mission control, LDK's scorer |
//! | mirror | a second copy of the store on another disk |
//! | obligation | what the node must honour later: a channel, an HTLC, an invoice |
//! | parts | of a payment: its HTLCs; of a room: what it is built from ([`parts`]) |
//! | part, path, route | one HTLC's share of a payment; its hops; all paths of a payment |
//! | record | a row on disk, with a version; a view is what is shown of it |
//! | room | a folder or file of `daemon/src` with walls that `integration/tests/house.rs` guards |
//! | seal | a checksum over LDK's rows that proves that none was lost or rolled back |
//! | tip | the best block that every listener has seen |
//! | witness | a small file that proves that the store is not older than what was acknowledged |

pub mod daemon;
pub mod offline;

pub mod config;

pub mod collectors;

pub mod api;

pub mod events;

pub mod usecases;

pub mod backup;

pub mod channels;
pub mod forwards;
pub mod invoices;
pub mod offers;
pub mod payments;
pub mod peers;

pub mod idempotency;
pub mod parts;

pub mod access;

pub mod node;

pub mod admission;

pub mod wallet;
pub mod warnings;

pub mod feerates;

pub mod chain;

pub mod journal;

pub mod metrics;

pub mod storage;

pub mod log;

pub mod ports;

pub mod descriptors;

pub mod private_file;

pub mod clock;

pub mod listing;

pub mod tasks;
