//! Thread CPU time, which other processes on the machine do not lengthen.

use fulmen_routing::Part;
use fulmen_routing::simulator::{Ask, Payment, Router};
use rustix::time::{ClockId, clock_gettime};

/// Returns the CPU time of this thread in milliseconds.
pub fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// A router whose CPU time is summed up.
pub struct Timed<R> {
    pub inner: R,
    pub spent_ms: f64,
}

impl<R> Timed<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, spent_ms: 0.0 }
    }

    fn time<T>(&mut self, deed: impl FnOnce(&mut R) -> T) -> T {
        let from = cpu_ms();
        let result = deed(&mut self.inner);
        self.spent_ms += cpu_ms() - from;
        result
    }
}

impl<R: Router> Router for Timed<R> {
    fn begin(&mut self, payment: &Payment) {
        self.inner.begin(payment);
    }

    fn route(&mut self, ask: &Ask<'_>) -> Option<Vec<Part>> {
        self.time(|inner| inner.route(ask))
    }

    fn arrived(&mut self, part: &Part) {
        self.time(|inner| inner.arrived(part));
    }

    fn failed(&mut self, part: &Part, place: usize) {
        self.time(|inner| inner.failed(part, place));
    }
}
