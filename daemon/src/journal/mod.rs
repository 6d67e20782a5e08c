//! The durable, ordered, resumable log of what happened.
