//! A plan in the making: paths with wishes become exact routes that together deliver the amount.

use crate::path::dijkstra::cheapest;
use crate::path::field::Field;
use crate::path::walk::{Limits, Workspace};
use crate::path::widest::widest;

use super::refine::{Route, fit};
use super::task::Task;

/// Searches for what is still missing, at most.
const REPAIRS: usize = 32;

/// Which ways are sought for what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seek {
    /// The cheapest ones, with new parts as long as there may be more.
    Cheapest,
    /// The widest ones, when parts are few: those there are carry more first, and give way to wider ones.
    Widest,
}

impl Seek {
    /// Returns how often a way is sought, at most.
    fn tries(self, max_parts: usize) -> usize {
        match self {
            Self::Cheapest => REPAIRS,
            Self::Widest => max_parts.saturating_add(REPAIRS),
        }
    }
}

/// Routes that have their room on the field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub routes: Vec<Route>,
}

impl Draft {
    pub(crate) fn delivered(&self) -> u64 {
        self.routes.iter().map(Route::delivered).sum()
    }

    pub(crate) fn fee(&self) -> u64 {
        self.routes.iter().map(Route::fee).sum()
    }

    /// Adds a route along the path for as much of `want_msat` as fits; returns how much that is.
    pub(crate) fn add(
        &mut self,
        field: &mut Field<'_>,
        edges: &[u32],
        want_msat: u64,
        limits: &Limits,
    ) -> u64 {
        let Some(route) = fit(field, edges, want_msat, limits) else { return 0 };
        let delivered = route.delivered();
        route.occupy(field);
        self.routes.push(route);
        delivered
    }

    /// Lets routes carry up to `rest_msat` more where there is room; returns what still is missing.
    pub(crate) fn top_up(
        &mut self,
        field: &mut Field<'_>,
        mut rest_msat: u64,
        limits: &Limits,
    ) -> u64 {
        for route in &mut self.routes {
            if rest_msat == 0 {
                break;
            }
            let before = route.delivered();
            route.vacate(field);
            if let Some(more) = fit(field, &route.edges, before.saturating_add(rest_msat), limits)
                && more.delivered() > before
            {
                rest_msat -= more.delivered() - before;
                *route = more;
            }
            route.occupy(field);
        }
        rest_msat
    }

    /// Finds ways for what is missing, one path at a time. Returns what still is missing.
    pub(crate) fn complete(
        &mut self,
        field: &mut Field<'_>,
        task: &Task<'_>,
        seek: Seek,
        mut rest_msat: u64,
        workspace: &mut Workspace,
    ) -> u64 {
        let (limits, max_parts) = (task.limits, task.query.max_parts);
        let mut piece = rest_msat;
        for _ in 0..seek.tries(max_parts) {
            let full = self.routes.len() >= max_parts;
            if full || seek == Seek::Widest {
                rest_msat = self.top_up(field, rest_msat, limits);
            }
            let give_up = full && seek == Seek::Cheapest;
            if rest_msat == 0 || give_up || workspace.visits >= task.query.max_visits {
                break;
            }
            // Where no more parts are allowed, the narrowest may be put elsewhere.
            let narrowest = (0..self.routes.len()).min_by_key(|&r| self.routes[r].delivered());
            let removed = narrowest.filter(|_| full).map(|place| self.routes.swap_remove(place));
            if let Some(route) = &removed {
                route.vacate(field);
                rest_msat += route.delivered();
            }
            let found = match seek {
                Seek::Cheapest => {
                    let want = piece.min(rest_msat);
                    cheapest(field, &task.weights, want, limits, None, workspace)
                }
                Seek::Widest => widest(field, rest_msat, limits, workspace),
            };
            let added = found.map_or(0, |edges| self.add(field, &edges, rest_msat, limits));
            rest_msat -= added;
            if added > removed.as_ref().map_or(0, Route::delivered) {
                continue;
            }
            if added == 0
                && let Some(route) = removed
            {
                route.occupy(field);
                rest_msat -= route.delivered();
                self.routes.push(route);
            }
            if seek == Seek::Widest || piece < 1_000 {
                break;
            }
            // Smaller pieces may pass where a large one does not.
            piece /= 4;
        }
        self.top_up(field, rest_msat, limits)
    }

    /// Returns the same delivery without the narrowest route, for one that is not on the field; `None` where that
    /// is no narrower than `narrow_msat` or the others have no room for what it carries.
    pub(crate) fn without_narrowest(
        &self,
        field: &mut Field<'_>,
        narrow_msat: u64,
        limits: &Limits,
    ) -> Option<Self> {
        let widths = self.routes.iter().map(Route::delivered).enumerate();
        let (place, width) = widths.min_by_key(|&(_, width)| width)?;
        if width >= narrow_msat {
            return None;
        }
        let mut fewer = self.clone();
        fewer.routes.swap_remove(place);
        fewer.routes.iter().for_each(|route| route.occupy(field));
        let rest = fewer.top_up(field, width, limits);
        fewer.lift(field);
        (rest == 0).then_some(fewer)
    }

    /// Joins routes along the same path into one where one HTLC can carry both.
    pub(crate) fn join(&mut self, field: &mut Field<'_>, limits: &Limits) {
        let mut joined: Vec<Route> = Vec::with_capacity(self.routes.len());
        for route in self.routes.drain(..) {
            let Some(same) = joined.iter_mut().find(|other| other.edges == route.edges) else {
                joined.push(route);
                continue;
            };
            let sum = same.delivered().saturating_add(route.delivered());
            same.vacate(field);
            route.vacate(field);
            match fit(field, &same.edges, sum, limits).filter(|one| one.delivered() == sum) {
                Some(one) => {
                    one.occupy(field);
                    *same = one;
                }
                None => {
                    same.occupy(field);
                    route.occupy(field);
                    joined.push(route);
                }
            }
        }
        self.routes = joined;
    }

    /// Splits risky routes, so that a channel that holds too little for the whole still carries some of it,
    /// and its failure says more exactly how much it holds.
    pub(crate) fn split(
        &mut self,
        field: &mut Field<'_>,
        limits: &Limits,
        max_parts: usize,
        nats_per_part: f32,
        least_msat: u64,
    ) {
        let risks: Vec<f32> = {
            self.lift(field);
            let mut risks = Vec::with_capacity(self.routes.len());
            for route in &self.routes {
                risks.push(route.nats(field));
                route.occupy(field);
            }
            risks
        };
        let mut whole = std::mem::take(&mut self.routes);
        let mut room = max_parts.saturating_sub(whole.len());
        for (route, nats) in whole.drain(..).zip(risks) {
            let most = (route.delivered() / least_msat.max(1)) as usize;
            let pieces = (1 + (nats / nats_per_part) as usize).min(most).min(room + 1).min(4);
            if pieces < 2 {
                self.routes.push(route);
                continue;
            }
            route.vacate(field);
            let sum = route.delivered();
            let before = self.routes.len();
            let mut rest = sum;
            for piece in 1..=pieces {
                // Halves of what is left, largest first: n parts find out the balance to 1 in 2^(n - 1).
                let want = if piece == pieces { rest } else { rest.div_ceil(2) };
                rest -= self.add(field, &route.edges, want, limits);
            }
            if rest > 0 {
                self.routes.drain(before..).for_each(|piece| piece.vacate(field));
                route.occupy(field);
                self.routes.push(route);
            } else {
                room -= pieces - 1;
            }
        }
    }

    /// Gives all room back.
    pub(crate) fn lift(&self, field: &mut Field<'_>) {
        self.routes.iter().for_each(|route| route.vacate(field));
    }

    /// Returns fees and risk of the whole, with nothing of it on the field.
    pub(crate) fn judge(&self, field: &mut Field<'_>) -> (u64, f32) {
        let mut nats = 0.0;
        for route in &self.routes {
            nats += route.nats(field);
            route.occupy(field);
        }
        self.lift(field);
        (self.fee(), nats)
    }
}
