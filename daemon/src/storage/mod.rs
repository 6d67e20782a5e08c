//! Durable records in sled behind one committer; nothing else knows sled.
