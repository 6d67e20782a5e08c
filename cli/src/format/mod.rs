//! How values look: numbers and words for people, tables, JSON for machines.
pub mod human;
pub mod json;
pub mod names;
pub mod table;
