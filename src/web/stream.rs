//! One screen's event stream: the latest picture at once, every change after it, a sign of life in between.
//!
//! There is no history: a screen that comes back gets the whole picture, so nothing can be missed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior};
use utoipa::ToSchema;

use super::card::Today;
use super::error::Problem;
use super::page;
use super::routes::Site;
use super::view::CounterView;
use crate::face::CounterId;
use crate::greeter::CounterState;

/// After how long a browser tries again by itself.
const RETRY: Duration = Duration::from_secs(1);

/// An interval of nothing would be a panic, and a flood.
const SHORTEST_PING: Duration = Duration::from_millis(10);

/// The data of `event: ping`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ping {
    /// The box's clock: a screen's own may be wrong.
    #[schema(format = DateTime)]
    now: String,
    /// What the page is made of; a page made of something else loads itself anew.
    build: &'static str,
}

struct Screen {
    counter: CounterId,
    pictures: watch::Receiver<Arc<CounterState>>,
    site: Arc<Site>,
    pings: Interval,
    fresh: bool,
    _place: OwnedSemaphorePermit,
}

pub fn open(
    site: Arc<Site>,
    counter: CounterId,
    pictures: watch::Receiver<Arc<CounterState>>,
) -> Result<Response, Problem> {
    let place = site.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::unavailable("too_many_screens", "too many screens listen already; close some and try again")
    })?;
    let mut pings = tokio::time::interval(site.parts.limits.ping.max(SHORTEST_PING));
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let screen = Screen { counter, pictures, site, pings, fresh: true, _place: place };
    Ok(Sse::new(unfold(screen, next)).into_response())
}

async fn next(mut screen: Screen) -> Option<(Result<Event, Infallible>, Screen)> {
    let event = if std::mem::take(&mut screen.fresh) {
        screen.picture().map(|event| event.retry(RETRY))
    } else {
        tokio::select! {
            // The stop first, or a busy counter could hide it.
            biased;
            () = screen.site.shutdown.clone().asked() => return None,
            changed = screen.pictures.changed() => {
                // The greeter is gone: the stream ends, and the page says that it knows nothing any more.
                changed.ok()?;
                screen.picture()
            }
            _ = screen.pings.tick() => screen.ping(),
        }
    };
    match event {
        Ok(event) => Some((Ok(event), screen)),
        Err(error) => {
            tracing::error!(%error, "web: a picture cannot be written as JSON");
            None
        }
    }
}

impl Screen {
    fn picture(&mut self) -> Result<Event, axum::Error> {
        let view = CounterView::of(&self.counter, &self.pictures.borrow_and_update(), &Today::of(&self.site.parts));
        Event::default().event("counter").json_data(view)
    }

    fn ping(&self) -> Result<Event, axum::Error> {
        let now = self.site.parts.clock.wall().at.to_string();
        Event::default().event("ping").json_data(Ping { now, build: page::build() })
    }
}
