//! Each LDK event becomes one call into one room.
