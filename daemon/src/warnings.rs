//! Conditions that an operator should see to; `info` and `/healthz` show them while they last.

use std::sync::{Arc, Mutex};

type Check = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// The checks of all rooms; clones share them.
#[derive(Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<Check>>>);

impl Warnings {
    /// Adds a check that returns a sentence while its condition lasts; it must not block.
    pub fn add(&self, check: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.0.lock().expect("no panic while held").push(Box::new(check));
    }

    /// Returns the sentences of the conditions that last now, in the order in which the checks were added.
    pub fn now(&self) -> Vec<String> {
        self.0.lock().expect("no panic while held").iter().filter_map(|check| check()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_warning_lasts_as_long_as_its_condition() {
        let (warnings, dry) = (Warnings::default(), Arc::new(AtomicBool::new(false)));
        let condition = dry.clone();
        warnings
            .clone()
            .add(move || condition.load(Ordering::Relaxed).then(|| "the well is dry".to_owned()));
        assert!(warnings.now().is_empty());
        dry.store(true, Ordering::Relaxed);
        assert_eq!(warnings.now(), ["the well is dry"]);
    }
}
