//! Sending money: recorded first, reconciled after a restart.
