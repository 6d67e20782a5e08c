//! Payments in parts: a flow of least cost, cut into paths and made exact.

pub(crate) mod assemble;
pub(crate) mod draft;
pub(crate) mod few_parts;
pub(crate) mod linear;
pub(crate) mod propose;
pub(crate) mod quanta;
pub(crate) mod refine;
pub(crate) mod solve;
pub(crate) mod task;
