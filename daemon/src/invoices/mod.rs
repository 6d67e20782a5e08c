//! Asking for money and taking it.
