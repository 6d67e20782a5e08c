//! Every room's configuration read from file, environment and flags.
