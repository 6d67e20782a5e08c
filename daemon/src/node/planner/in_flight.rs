//! What the router keeps of each payment in flight: where it may go, which paths it took, why it found none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use lightning::ln::channelmanager::PaymentId;
use lightning::routing::router::{Path, Route};

use super::constraints::Constraints;
use super::no_route::{Cause, NoRouteReason};

/// One entry for each payment in flight.
///
/// An entry exists from [`InFlight::begin`] to [`InFlight::end`], so the number of payments that may be in flight bounds
/// the map, and nothing of an unfinished payment is ever forgotten. Routes found for any other payment leave no trace.
#[derive(Default)]
pub(super) struct InFlight(Mutex<HashMap<PaymentId, Entry>>);

#[derive(Default)]
struct Entry {
    constraints: Arc<Constraints>,
    /// The paths that the payer named, for a payment that takes no others.
    given: Option<Given>,
    paths: Vec<FoundPath>,
    no_route: Option<NoRouteReason>,
}

/// A path that was found for a payment, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPath {
    /// The path.
    pub path: Path,
    /// Milliseconds since 1970.
    pub found_at_ms: u64,
}

/// Paths that the payer named.
struct Given(Vec<Path>);

impl InFlight {
    /// Adds a payment; for one that is in flight already, only its constraints change.
    pub(super) fn begin(&self, payment_id: PaymentId, constraints: Constraints) {
        self.lock().entry(payment_id).or_default().constraints = Arc::new(constraints);
    }

    /// Names the paths that a payment takes, once.
    pub(super) fn give(&self, payment_id: PaymentId, paths: Vec<Path>) {
        self.lock().entry(payment_id).or_default().given = Some(Given(paths));
    }

    /// Whether a payment takes the paths that its payer named, and no others.
    pub(super) fn is_given(&self, payment_id: &PaymentId) -> bool {
        self.lock().get(payment_id).is_some_and(|entry| entry.given.is_some())
    }

    /// Takes the paths that the payer named: empty where they have been taken, none where the router is to find some.
    pub(super) fn take_given(&self, payment_id: &PaymentId) -> Option<Vec<Path>> {
        let mut entries = self.lock();
        let Given(paths) = entries.get_mut(payment_id)?.given.as_mut()?;
        Some(std::mem::take(paths))
    }

    /// Forgets a payment that has ended.
    pub(super) fn end(&self, payment_id: &PaymentId) {
        drop(self.lock().remove(payment_id));
    }

    /// Returns the constraints of a payment; none restrict a payment that is not in flight.
    pub(super) fn constraints(&self, payment_id: &PaymentId) -> Arc<Constraints> {
        self.lock().get(payment_id).map(|entry| entry.constraints.clone()).unwrap_or_default()
    }

    /// Adds the paths of a route that was found for a payment.
    pub(super) fn add_route(&self, payment_id: &PaymentId, route: &Route, found_at_ms: u64) {
        if let Some(entry) = self.lock().get_mut(payment_id) {
            let paths = route.paths.iter().cloned();
            entry.paths.extend(paths.map(|path| FoundPath { path, found_at_ms }));
        }
    }

    /// Returns when a path was found for a payment, the last time.
    pub(super) fn found_at_ms(&self, payment_id: &PaymentId, path: &Path) -> Option<u64> {
        let entries = self.lock();
        let mut paths = entries.get(payment_id)?.paths.iter().rev();
        paths.find(|found| found.path == *path).map(|found| found.found_at_ms)
    }

    /// Takes all paths that were found for a payment, those that failed included.
    pub(super) fn take_paths(&self, payment_id: &PaymentId) -> Vec<FoundPath> {
        self.lock().get_mut(payment_id).map(|it| std::mem::take(&mut it.paths)).unwrap_or_default()
    }

    /// Records why no route was found for a payment.
    pub(super) fn set_no_route(&self, payment_id: &PaymentId, why: NoRouteReason) {
        if let Some(entry) = self.lock().get_mut(payment_id) {
            entry.no_route = Some(why);
        }
    }

    /// The cause why no route was found for a payment, if none was.
    pub(super) fn no_route_cause(&self, payment_id: &PaymentId) -> Option<Cause> {
        Some(self.lock().get(payment_id)?.no_route.as_ref()?.cause)
    }

    /// Takes the reason why no route was found for a payment, if none was.
    pub(super) fn take_no_route(&self, payment_id: &PaymentId) -> Option<NoRouteReason> {
        self.lock().get_mut(payment_id)?.no_route.take()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PaymentId, Entry>> {
        self.0.lock().expect("no panic while held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(number: u32) -> PaymentId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        PaymentId(id)
    }

    fn route() -> Route {
        Route { paths: vec![Path { hops: Vec::new(), blinded_tail: None }], route_params: None }
    }

    #[test]
    fn nothing_of_an_unfinished_payment_is_forgotten_however_many_are_in_flight() {
        let in_flight = InFlight::default();
        for number in 0..30_000 {
            in_flight.begin(payment(number), Constraints::default());
            in_flight.add_route(&payment(number), &route(), number.into());
            in_flight.set_no_route(&payment(number), NoRouteReason::of_ldk("none"));
        }
        let [path] = &route().paths[..] else { unreachable!("one path") };
        assert_eq!(in_flight.found_at_ms(&payment(9), path), Some(9));
        assert_eq!(in_flight.take_paths(&payment(0)).len(), 1);
        assert_eq!(in_flight.take_paths(&payment(0)).len(), 0);
        assert_eq!(in_flight.take_no_route(&payment(0)), Some(NoRouteReason::of_ldk("none")));
        assert_eq!(in_flight.take_no_route(&payment(0)), None);
    }

    #[test]
    fn given_paths_are_taken_once_and_replaced_by_no_others() {
        let in_flight = InFlight::default();
        in_flight.begin(payment(1), Constraints::default());
        assert!(!in_flight.is_given(&payment(1)));
        assert!(in_flight.take_given(&payment(1)).is_none());
        in_flight.give(payment(1), route().paths);
        assert_eq!(in_flight.take_given(&payment(1)).expect("they are given").len(), 1);
        assert_eq!(in_flight.take_given(&payment(1)).expect("they were given").len(), 0);
        assert!(in_flight.is_given(&payment(1)));
    }

    #[test]
    fn nothing_is_kept_of_payments_that_have_ended_or_never_began() {
        let in_flight = InFlight::default();
        let barred = Constraints { avoid_channels: vec![7], ..Constraints::default() };
        in_flight.begin(payment(1), barred.clone());
        assert_eq!(*in_flight.constraints(&payment(1)), barred);
        in_flight.end(&payment(1));
        for ended in [payment(1), payment(2)] {
            in_flight.add_route(&ended, &route(), 7);
            in_flight.set_no_route(&ended, NoRouteReason::of_ldk("none"));
            assert!(in_flight.constraints(&ended).is_empty());
        }
        assert!(in_flight.lock().is_empty());
    }
}
