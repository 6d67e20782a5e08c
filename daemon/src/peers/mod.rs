//! Connections to other nodes, remembered and re-established.
