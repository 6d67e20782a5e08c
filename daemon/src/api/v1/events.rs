//! The `Events` service: the journal, read by cursor, so that a slow subscriber misses nothing.

use std::collections::HashSet;
use std::ops::ControlFlow;

use fulmen_proto::v1;
use fulmen_proto::v1::event::Kind;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert::fields;
use super::convert::filter::{among, filter};
use super::refusal;
use super::view::event::{event, kind};
use crate::api::status::{internal, malformed};
use crate::api::stream::{ResponseStream, Steps, stream};
use crate::channels::Channels;
use crate::forwards::Forwards;
use crate::journal::{Follower, Journal, Numbered};
use crate::listing::Filter;

/// A page looks at no more entries than this, however few of them its filter lets through.
const LOOKS_PER_PAGE: usize = 20_000;
/// How much later than a wanted moment entries are looked at: clocks are corrected.
const CLOCK_SLACK_SECS: u64 = 24 * 3_600;

/// Serves `fulmen.v1.Events`.
#[derive(Clone)]
pub struct EventsService {
    /// The journal.
    pub journal: Journal,
    /// The records of forwards, which entries name.
    pub forwards: Forwards,
    /// Knows the names of channels, by which entries are filtered.
    pub channels: Channels,
    /// Cancelled when the API stops.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::events_server::Events for EventsService {
    type SubscribeStream = ResponseStream<v1::Event>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeEventsRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let request = request.into_inner();
        let start = fields::Start {
            argument: "after_sequence",
            after: request.after_sequence,
            from_now: request.from_now,
            until_now: request.until_now,
        };
        let (after, last) = start.of(self.journal.head())?;
        let wanted = self.wanted(request.filter, &request.kinds)?;
        let follower = self.journal.follow(after, last).map_err(|error| internal(&error))?;
        let reading = Reading { follower, forwards: self.forwards.clone(), wanted };
        Ok(Response::new(stream(reading, self.stopping.clone())))
    }

    async fn list(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let request = request.into_inner();
        let page = fields::page(request.page)?;
        let wanted = self.wanted(request.filter, &request.kinds)?;
        let newest = match page.token.as_slice() {
            [] => self.newest(&wanted)?,
            token => {
                let below = <[u8; 8]>::try_from(token).map_err(|_| refusal::bad_token())?;
                u64::from_be_bytes(below).saturating_sub(1)
            }
        };
        self.page(newest, page.limit, &wanted).map(Response::new)
    }
}

impl EventsService {
    fn wanted(&self, wire: Option<v1::Filter>, kinds: &[i32]) -> Result<Wanted, Status> {
        let known = |kind: &i32| match Kind::try_from(*kind) {
            Ok(Kind::Unspecified) | Err(_) => {
                Err(malformed("kinds", format!("{kind} is not a kind of event")))
            }
            Ok(kind) => Ok(kind),
        };
        let kinds = kinds.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Wanted { filter: filter::<v1::Event>(wire, among(&self.channels))?, kinds })
    }

    /// The sequence number from which a list goes down.
    fn newest(&self, wanted: &Wanted) -> Result<u64, Status> {
        let late = wanted.filter.time.until.checked_add(CLOCK_SLACK_SECS);
        let Some(late) = late else { return Ok(u64::MAX) };
        let found = self.journal.first_not_before(late).map_err(|error| internal(&error))?;
        Ok(found.unwrap_or(u64::MAX))
    }

    fn page(
        &self,
        newest: u64,
        limit: usize,
        wanted: &Wanted,
    ) -> Result<v1::ListEventsResponse, Status> {
        let oldest = wanted.filter.time.since.saturating_sub(CLOCK_SLACK_SECS);
        let mut answer = v1::ListEventsResponse::default();
        let (mut looks, mut last, mut failed) = (0, 0, None);
        let visit = |numbered: Numbered| {
            if answer.events.len() >= limit || looks >= LOOKS_PER_PAGE {
                answer.next_page_token = u64::to_be_bytes(last).to_vec();
                return ControlFlow::Break(());
            }
            if numbered.happened_at < oldest {
                return ControlFlow::Break(());
            }
            looks += 1;
            last = numbered.sequence;
            match event(numbered, &self.forwards) {
                Ok(Some(event)) if wanted.passes(&event) => answer.events.push(event),
                Ok(_) => (),
                Err(status) => {
                    failed = Some(status);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        self.journal.visit_back(newest, visit).map_err(|error| internal(&error))?;
        failed.map_or(Ok(answer), Err)
    }
}

/// Which entries a caller wants.
struct Wanted {
    filter: Filter,
    /// Empty for all.
    kinds: HashSet<Kind>,
}

impl Wanted {
    fn passes(&self, event: &v1::Event) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind(event))) && self.filter.passes(event)
    }
}

/// One subscriber's position in the journal.
struct Reading {
    follower: Follower,
    forwards: Forwards,
    wanted: Wanted,
}

impl Steps for Reading {
    type Item = v1::Event;

    async fn next(&mut self) -> Result<Option<v1::Event>, Status> {
        while let Some(numbered) = self.follower.next().await.map_err(|error| internal(&error))? {
            if let Some(event) = event(numbered, &self.forwards)?
                && self.wanted.passes(&event)
            {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}
