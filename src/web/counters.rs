//! Who is at a counter: the list of counters, one picture, and the stream of pictures.
//!
//! How a stream lives and ends is `super::stream`'s.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use tokio::sync::watch;

use super::card::Today;
use super::error::Problem;
use super::routes::Site;
use super::stream;
use super::view::{CounterListView, CounterNameView, CounterView, ErrorBody};
use crate::face::CounterId;
use crate::greeter::CounterState;

type Watched = (CounterId, watch::Receiver<Arc<CounterState>>);

/// The counters of this box.
#[utoipa::path(get, path = "/api/v1/counters", tag = "counters", responses((status = 200, body = CounterListView)))]
pub async fn list(State(site): State<Arc<Site>>) -> Json<CounterListView> {
    let name = |c: &CounterId| CounterNameView { name: c.to_string(), language: site.language(c).code() };
    Json(CounterListView { counters: site.parts.counters.names().map(name).collect() })
}

/// Who is at the counter now.
#[utoipa::path(get, path = "/api/v1/counters/{counter}", tag = "counters",
    params(("counter" = String, Path, description = "The counter's name")),
    responses((status = 200, body = CounterView), (status = 404, body = ErrorBody)))]
pub async fn picture(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<CounterView>, Problem> {
    let Path(name) = path?;
    Ok(current(&site, site.named(&name)?))
}

/// Who is at the counter now, on a box that has only one.
#[utoipa::path(get, path = "/api/v1/counter", tag = "counters",
    responses((status = 200, body = CounterView), (status = 404, body = ErrorBody)))]
pub async fn only_picture(State(site): State<Arc<Site>>) -> Result<Json<CounterView>, Problem> {
    Ok(current(&site, site.only()?))
}

/// The picture as `event: counter`, at once and at every change, with `event: ping` in between.
#[utoipa::path(get, path = "/api/v1/counters/{counter}/events", tag = "counters",
    params(("counter" = String, Path, description = "The counter's name")),
    responses((status = 200, content_type = "text/event-stream", body = String,
               description = "The data of `counter` is a CounterView; of `ping`, a Ping"),
              (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn events(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path?;
    let (counter, pictures) = site.named(&name)?;
    stream::open(site, counter, pictures)
}

/// The stream of the only counter.
#[utoipa::path(get, path = "/api/v1/counter/events", tag = "counters",
    responses((status = 200, content_type = "text/event-stream", body = String),
              (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn only_events(State(site): State<Arc<Site>>) -> Result<Response, Problem> {
    let (counter, pictures) = site.only()?;
    stream::open(site, counter, pictures)
}

fn current(site: &Site, (counter, pictures): Watched) -> Json<CounterView> {
    let view = CounterView::of(&counter, &pictures.borrow(), &Today::of(&site.parts));
    Json(view)
}

impl Site {
    pub fn named(&self, name: &str) -> Result<Watched, Problem> {
        let counter = CounterId::new(name);
        match self.parts.counters.watch(&counter) {
            Some(pictures) => Ok((counter, pictures)),
            None => Err(Problem::not_found("no_such_counter", format!("there is no such counter; {}", self.choice()))),
        }
    }

    pub fn only(&self) -> Result<Watched, Problem> {
        match self.only_counter() {
            Some(counter) => self.named(counter.as_str()),
            None => Err(Problem::not_found("several_counters", format!("say which counter; {}", self.choice()))),
        }
    }

    fn choice(&self) -> String {
        let names: Vec<&str> = self.parts.counters.names().map(CounterId::as_str).collect();
        format!("this box has: {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
    }
}
