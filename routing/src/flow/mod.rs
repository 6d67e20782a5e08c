//! Payments in parts: a flow of least cost, cut into paths and made exact.

pub(crate) mod refine;
