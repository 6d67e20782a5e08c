//! Opening, accepting, closing and pricing channels.
