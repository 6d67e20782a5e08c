//! How far a long read has come, and whether it is to go on.

use std::ops::ControlFlow;

/// How far a long read has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Rows read.
    pub rows: u64,
    /// Bytes of keys and values in them.
    pub bytes: u64,
}

/// Asks now and then whether to go on.
pub type GoOn<'a> = dyn Fn(Step) -> ControlFlow<()> + 'a;

/// Goes on, whatever happens: for those who wait for the end only.
pub fn to_the_end(_: Step) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
