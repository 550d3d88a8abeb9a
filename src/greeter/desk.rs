//! The desk of one box: its counters' visits, what their screens show, and what is recorded of them.
//!
//! No thread is here and no socket: `crate::app` brings sightings, answers and the passing of time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::journal::{Journal, Write};
use super::{AnswerError, CandidateCard, CounterState, Greeted, Present, Verdict};
use crate::camera::CameraState;
use crate::clock::{Clock, Monotonic, WallTime};
use crate::customer::{Customer, CustomerId, Purpose, Sighting, VisitId};
use crate::face::{CameraId, CounterId};
use crate::greeting::{self, DayHours};
use crate::i18n::Language;
use crate::store::{Identified, Store, VisitAnswer as Recorded, VisitRecord};
use crate::visit::{Identification, VisitAnswer, VisitConfig, VisitEvent, Visits};

/// How a box greets.
#[derive(Clone)]
pub struct DeskConfig {
    /// The counters and the language of each.
    pub counters: Vec<(CounterId, Language)>,
    pub time_zone: TimeZone,
    pub hours: DayHours,
    pub visit: VisitConfig,
}

struct Counter {
    language: Language,
    visits: Visits,
    state: CounterState,
    screen: watch::Sender<Arc<CounterState>>,
}

/// All counters of the box. One thread owns it.
pub struct Desk {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    config: DeskConfig,
    journal: Journal,
    counters: BTreeMap<CounterId, Counter>,
}

impl Desk {
    pub fn new(config: DeskConfig, store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        let journal = Journal::new(Arc::clone(&store), Arc::clone(&clock), config.time_zone.clone());
        let counter = |(id, language): &(CounterId, Language)| {
            let visits = Visits::new(id.clone(), config.visit.clone());
            let (screen, _) = watch::channel(Arc::default());
            (id.clone(), Counter { language: *language, visits, state: CounterState::default(), screen })
        };
        let counters = config.counters.iter().map(counter).collect();
        Self { store, clock, config, journal, counters }
    }

    /// What the screens of each counter follow.
    pub fn screens(&self) -> BTreeMap<CounterId, watch::Receiver<Arc<CounterState>>> {
        self.counters.iter().map(|(id, counter)| (id.clone(), counter.screen.subscribe())).collect()
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Takes the sightings of one frame of `counter`; gives what happened there.
    pub fn see(&mut self, now: Monotonic, counter: &CounterId, sightings: &[Sighting]) -> Vec<VisitEvent> {
        let clock = Arc::clone(&self.clock);
        let Some(at) = self.counters.get_mut(counter) else { return Vec::new() };
        let events = at.visits.advance(now, sightings, &mut || clock.mint());
        self.carry_out(now, &events);
        events
    }

    /// Lets time pass: absences, merge windows, writes that wait.
    pub fn tick(&mut self, now: Monotonic) {
        let ids: Vec<CounterId> = self.counters.keys().cloned().collect();
        for id in ids {
            self.see(now, &id, &[]);
        }
        let refused = self.journal.retry(now);
        self.drop_customers(now, &refused);
        self.publish_unsaved();
    }

    /// The truth about the cameras of `counter`.
    pub fn cameras(&mut self, counter: &CounterId, cameras: Vec<(CameraId, CameraState)>) {
        if let Some(counter) = self.counters.get_mut(counter).filter(|c| c.state.cameras != cameras) {
            counter.state.cameras = cameras;
            counter.publish();
        }
    }

    /// The cashier's word on a visit, of whatever counter.
    pub fn answer(&mut self, now: Monotonic, visit: VisitId, verdict: Verdict) -> Result<(), AnswerError> {
        let answer = match verdict {
            Verdict::Yes => VisitAnswer::Yes,
            Verdict::No => VisitAnswer::No,
            Verdict::Other(customer) => {
                self.live_customer(customer).ok_or(AnswerError::UnknownCustomer)?;
                VisitAnswer::Other(customer)
            }
        };
        let answered = self.counters.values_mut().find_map(|c| c.visits.answer(now, visit, answer));
        let events = answered.ok_or(AnswerError::UnknownVisit)?;
        self.carry_out(now, &events);
        Ok(())
    }

    /// Takes customers who are no longer enrolled off the screens: erased, or their consent ended.
    pub fn keep_only(&mut self, now: Monotonic, is_enrolled: &dyn Fn(CustomerId) -> bool) {
        let named: Vec<CustomerId> = self.counters.values().flat_map(|c| c.visits.customers()).collect();
        let gone: Vec<CustomerId> = named.into_iter().filter(|customer| !is_enrolled(*customer)).collect();
        self.drop_customers(now, &gone);
    }

    /// Ends all visits and writes what can still be written: the service stops.
    pub fn close(&mut self, now: Monotonic) {
        let events: Vec<VisitEvent> = self.counters.values_mut().flat_map(|c| c.visits.close_all()).collect();
        self.carry_out(now, &events);
        self.journal.flush();
        let lost = self.journal.unsaved();
        if lost > 0 {
            tracing::error!(
                visits = lost,
                "visits could not be recorded before the stop and are lost; free disk space"
            );
        }
    }

    fn carry_out(&mut self, now: Monotonic, events: &[VisitEvent]) {
        for event in events {
            self.show(event);
            let refused = match self.record(event) {
                Some(write) => self.journal.write(write),
                None => Vec::new(),
            };
            self.drop_customers(now, &refused);
        }
        if !events.is_empty() {
            self.publish_unsaved();
        }
    }

    /// The screen's side of an event, published at once.
    fn show(&mut self, event: &VisitEvent) {
        let (id, visit) = place(event);
        let since = self.clock.wall().at;
        let who = match event {
            VisitEvent::Opened { customer, .. } | VisitEvent::Reassigned { customer, .. } => {
                self.card(id, *customer, true)
            }
            VisitEvent::Returned { customer, .. } => self.card(id, *customer, false),
            VisitEvent::Suggested { candidates, .. } => self.question(candidates),
            VisitEvent::Confirmed { .. } | VisitEvent::Closed { .. } => return,
            VisitEvent::Rejected { .. } | VisitEvent::Left { .. } => None,
        };
        let Some(counter) = self.counters.get_mut(id) else { return };
        let present = &mut counter.state.present;
        match (who, present.iter_mut().find(|p| p.visit == visit)) {
            (Some(who), Some(there)) => there.who = who,
            (Some(who), None) => present.push(Present { visit, since, who }),
            (None, _) => present.retain(|p| p.visit != visit),
        }
        counter.publish();
    }

    /// The card of a customer, with a greeting or, for somebody just greeted, only the name.
    fn card(&self, counter: &CounterId, customer: CustomerId, greet: bool) -> Option<Greeted> {
        let customer = self.live_customer(customer)?;
        let own = self.counters.get(counter).map(|c| c.language);
        let language = customer.language.or(own).unwrap_or(Language::Russian);
        let greeting = if greet {
            let hour = self.clock.wall().at.to_zoned(self.config.time_zone.clone()).hour();
            let part = self.config.hours.part_at(hour.unsigned_abs());
            greeting::greet_at(&customer.name, language, part, customer.card.visits > 0)
        } else {
            greeting::address(&customer.name, language)
        };
        Some(Greeted::Match { customer: customer.id, name: customer.name, greeting, card: customer.card })
    }

    fn question(&self, candidates: &[CustomerId]) -> Option<Greeted> {
        let known = candidates.iter().filter_map(|id| self.live_customer(*id));
        let candidates: Vec<_> = known.map(|c| CandidateCard { customer: c.id, name: c.name }).collect();
        (!candidates.is_empty()).then_some(Greeted::Maybe { candidates })
    }

    fn live_customer(&self, id: CustomerId) -> Option<Customer> {
        let today = self.clock.wall().at.to_zoned(self.config.time_zone.clone()).date();
        match self.store.customer(id) {
            Ok(customer) => customer.filter(|c| c.consent.is_live(Purpose::Recognition, today)),
            Err(error) => {
                tracing::error!(%error, customer = %id, "a customer's record cannot be read");
                None
            }
        }
    }

    /// The store's side of an event.
    fn record(&self, event: &VisitEvent) -> Option<Write> {
        let at = self.clock.wall();
        let answered = |visit: &VisitId, answer| Some(Write::Answer { visit: *visit, answer, at });
        match event {
            VisitEvent::Opened { visit, counter, customer, how } => {
                let how = match how {
                    Identification::Matched => Identified::Match,
                    Identification::Confirmed => Identified::Confirmed,
                };
                let (id, customer, counter) = (*visit, *customer, counter.clone());
                Some(Write::Open(VisitRecord { id, customer, counter, opened_at: at, how }))
            }
            VisitEvent::Left { visit, recorded: true, .. } => {
                Some(Write::Close { visit: *visit, at, deliver_after: later(at, self.config.visit.merge) })
            }
            VisitEvent::Returned { visit, .. } => Some(Write::Reopen(*visit)),
            VisitEvent::Confirmed { visit, .. } => answered(visit, Recorded::Confirmed),
            VisitEvent::Rejected { visit, recorded: true, .. } => answered(visit, Recorded::Rejected),
            VisitEvent::Reassigned { visit, customer, .. } => answered(visit, Recorded::Other(*customer)),
            VisitEvent::Suggested { .. }
            | VisitEvent::Closed { .. }
            | VisitEvent::Left { recorded: false, .. }
            | VisitEvent::Rejected { recorded: false, .. } => None,
        }
    }

    fn drop_customers(&mut self, now: Monotonic, gone: &[CustomerId]) {
        for customer in gone {
            let events: Vec<VisitEvent> = self.counters.values_mut().flat_map(|c| c.visits.forget(*customer)).collect();
            self.carry_out(now, &events);
        }
    }

    fn publish_unsaved(&mut self) {
        let unsaved = self.journal.unsaved();
        for counter in self.counters.values_mut().filter(|c| c.state.unsaved_visits != unsaved) {
            counter.state.unsaved_visits = unsaved;
            counter.publish();
        }
    }
}

impl Counter {
    fn publish(&mut self) {
        self.screen.send_replace(Arc::new(self.state.clone()));
    }
}

fn place(event: &VisitEvent) -> (&CounterId, VisitId) {
    match event {
        VisitEvent::Opened { visit, counter, .. }
        | VisitEvent::Suggested { visit, counter, .. }
        | VisitEvent::Returned { visit, counter, .. }
        | VisitEvent::Confirmed { visit, counter }
        | VisitEvent::Rejected { visit, counter, .. }
        | VisitEvent::Reassigned { visit, counter, .. }
        | VisitEvent::Left { visit, counter, .. }
        | VisitEvent::Closed { visit, counter } => (counter, *visit),
    }
}

fn later(at: WallTime, by: Duration) -> jiff::Timestamp {
    at.at.checked_add(by).unwrap_or(at.at)
}
