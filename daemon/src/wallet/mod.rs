//! On-chain money on bdk_wallet.
