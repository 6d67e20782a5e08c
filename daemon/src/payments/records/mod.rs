//! The records of payments: what is kept, how an update changes it, and when it is removed.

pub mod book;
pub mod known_to_ldk;
pub mod record;
pub mod retention;
pub mod transition;
pub mod translate;
