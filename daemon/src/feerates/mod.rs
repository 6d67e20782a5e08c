//! On-chain fee estimates for each of LDK's purposes.
