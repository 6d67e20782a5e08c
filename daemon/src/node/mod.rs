//! LDK assembled: restored, wired and driven.
