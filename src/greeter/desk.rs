//! The desk of one box: its counters' visits, what their screens show, and what is recorded of them.
//!
//! No thread is here and no socket: `crate::app` brings sightings, answers and the passing of time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::entries::Strangers;
use super::journal::{Journal, Write};
use super::{AnswerError, CandidateCard, CounterState, CrmTrouble, Greeted, Present};
use crate::camera::CameraState;
use crate::clock::{Clock, Days, Monotonic, WallTime};
use crate::customer::{Country, Customer, CustomerId, Purpose, Sighting, Verdict, VisitId};
use crate::face::{CameraId, CounterId};
use crate::greeting::{self, DayHours};
use crate::i18n::Language;
use crate::store::{Store, StoreError, VisitRecord};
use crate::trouble::Trouble;
use crate::visit::{VisitConfig, VisitEvent, Visits};

/// How a box greets.
#[derive(Clone)]
pub struct DeskConfig {
    /// The counters and the language of each.
    pub counters: Vec<(CounterId, Language)>,
    /// Where phone numbers without a country's code are dialled.
    pub country: Option<Country>,
    pub time_zone: TimeZone,
    pub hours: DayHours,
    pub visit: VisitConfig,
    /// Between a visit's end and its way to the CRM; never shorter than the time to come back.
    pub grace: Duration,
}

pub(super) struct Counter {
    language: Language,
    pub(super) visits: Visits,
    pub(super) strangers: Strangers,
    state: CounterState,
    screen: watch::Sender<Arc<CounterState>>,
}

/// All counters of the box. One thread owns it.
pub struct Desk {
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: DeskConfig,
    journal: Journal,
    pub(super) counters: BTreeMap<CounterId, Counter>,
}

impl Desk {
    pub fn new(config: DeskConfig, store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        let journal = Journal::new(Arc::clone(&store), Arc::clone(&clock), config.time_zone.clone());
        let counter = |(id, language): &(CounterId, Language)| {
            let visits = Visits::new(id.clone(), config.visit.clone());
            let (screen, _) = watch::channel(Arc::default());
            let (language, state, strangers) = (*language, CounterState::default(), Strangers::default());
            (id.clone(), Counter { language, visits, strangers, state, screen })
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

    /// Whether the box keeps up with its cameras.
    pub fn overloaded(&mut self, overloaded: bool) {
        for counter in self.counters.values_mut().filter(|c| c.state.overloaded != overloaded) {
            counter.state.overloaded = overloaded;
            counter.publish();
        }
    }

    /// What keeps visits from the CRM; `None` while they arrive, or where there is no CRM.
    pub fn crm_trouble(&mut self, trouble: Option<CrmTrouble>) {
        for counter in self.counters.values_mut().filter(|c| c.state.crm_trouble != trouble) {
            counter.state.crm_trouble = trouble;
            counter.publish();
        }
    }

    /// What of the box itself a person must mend.
    pub fn troubles(&mut self, troubles: Vec<(Trouble, u64)>) {
        for counter in self.counters.values_mut().filter(|c| c.state.troubles != troubles) {
            counter.state.troubles.clone_from(&troubles);
            counter.publish();
        }
    }

    /// The cashier's word on a visit, of whatever counter.
    pub fn answer(&mut self, now: Monotonic, visit: VisitId, verdict: Verdict) -> Result<(), AnswerError> {
        if let Verdict::Other(customer) = verdict {
            let entered = self.counters.values().any(|c| c.visits.is_entered(visit));
            self.live_customer(customer, purpose(entered)).ok_or(AnswerError::UnknownCustomer)?;
        }
        let answered = self.counters.values_mut().find_map(|c| c.visits.answer(now, visit, verdict));
        let events = answered.ok_or(AnswerError::UnknownVisit)?;
        self.carry_out(now, &events);
        Ok(())
    }

    /// Takes customers off the screens who may not be named any more: erased, or their consent ended. After an error
    /// nobody was taken off; try again.
    pub fn keep_live(&mut self, now: Monotonic) -> Result<(), StoreError> {
        let named: Vec<(CustomerId, bool)> = self.counters.values().flat_map(|c| c.visits.customers()).collect();
        let (mut gone, days) = (Vec::new(), self.days());
        for (customer, entered) in named {
            let known = self.store.customer(customer)?;
            if !known.is_some_and(|c| c.consent.is_live(purpose(entered), days)) {
                gone.push(customer);
            }
        }
        self.drop_customers(now, &gone);
        Ok(())
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

    pub(super) fn carry_out(&mut self, now: Monotonic, events: &[VisitEvent]) {
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
        let entered = self.counters.get(id).is_some_and(|counter| counter.visits.is_entered(visit));
        let who = match event {
            VisitEvent::Opened { customer, .. } | VisitEvent::Reassigned { customer, .. } => {
                self.card(id, *customer, purpose(entered), true)
            }
            VisitEvent::Returned { customer, .. } => self.card(id, *customer, purpose(entered), false),
            VisitEvent::Suggested { candidates, .. } => self.question(candidates),
            VisitEvent::Confirmed { .. } | VisitEvent::Closed { .. } => return,
            VisitEvent::Held { .. } | VisitEvent::Rejected { .. } | VisitEvent::Left { .. } => None,
        };
        let Some(counter) = self.counters.get_mut(id) else { return };
        let present = &mut counter.state.present;
        match (who, present.iter_mut().find(|p| p.visit == visit)) {
            (Some(who), Some(there)) => (there.who, there.entered) = (who, entered),
            (Some(who), None) => present.push(Present { visit, since, who, entered }),
            (None, Some(there)) if matches!(event, VisitEvent::Held { .. }) => there.entered = true,
            (None, _) => present.retain(|p| p.visit != visit),
        }
        counter.publish();
    }

    /// The card of a customer, with a greeting or, for somebody just greeted, only the name.
    fn card(&self, counter: &CounterId, customer: CustomerId, purpose: Purpose, greet: bool) -> Option<Greeted> {
        let customer = self.live_customer(customer, purpose)?;
        let own = self.counters.get(counter).map(|c| c.language);
        let language = customer.language.or(own).unwrap_or(Language::Russian);
        let greeting = if greet {
            let hour = self.clock.wall().at.to_zoned(self.config.time_zone.clone()).hour();
            let part = self.config.hours.part_at(hour.unsigned_abs());
            // Who was in another store of the company is back too.
            let elsewhere = customer.card.crm.as_ref().and_then(|crm| crm.visits).unwrap_or(0);
            greeting::greet_at(&customer.name, language, part, customer.card.visits > 0 || elsewhere > 0)
        } else {
            greeting::address(&customer.name, language)
        };
        Some(Greeted::Match { customer: customer.id, name: customer.name, greeting, card: customer.card })
    }

    fn question(&self, candidates: &[CustomerId]) -> Option<Greeted> {
        let known = candidates.iter().filter_map(|id| self.live_customer(*id, Purpose::Recognition));
        let candidates: Vec<_> = known.map(|c| CandidateCard { customer: c.id, name: c.name }).collect();
        (!candidates.is_empty()).then_some(Greeted::Maybe { candidates })
    }

    pub(super) fn days(&self) -> Days {
        self.clock.days(&self.config.time_zone)
    }

    fn live_customer(&self, id: CustomerId, purpose: Purpose) -> Option<Customer> {
        let days = self.days();
        match self.store.customer(id) {
            Ok(customer) => customer.filter(|c| c.consent.is_live(purpose, days)),
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
                let (id, customer, counter) = (*visit, *customer, counter.clone());
                Some(Write::Open(VisitRecord { id, customer, counter, opened_at: at, how: *how }))
            }
            VisitEvent::Left { visit, recorded: true, .. } => Some(Write::Close {
                visit: *visit,
                at,
                deliver_after: later(at, self.config.visit.merge.max(self.config.grace)),
            }),
            VisitEvent::Returned { visit, .. } => Some(Write::Reopen(*visit)),
            VisitEvent::Confirmed { visit, .. } => answered(visit, Verdict::Yes),
            VisitEvent::Rejected { visit, recorded: true, .. } => answered(visit, Verdict::No),
            VisitEvent::Reassigned { visit, customer, .. } => answered(visit, Verdict::Other(*customer)),
            VisitEvent::Suggested { .. }
            | VisitEvent::Held { .. }
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
        | VisitEvent::Held { visit, counter }
        | VisitEvent::Confirmed { visit, counter }
        | VisitEvent::Rejected { visit, counter, .. }
        | VisitEvent::Reassigned { visit, counter, .. }
        | VisitEvent::Left { visit, counter, .. }
        | VisitEvent::Closed { visit, counter } => (counter, *visit),
    }
}

/// What a customer must have agreed to who is named by a card, or else by a face.
fn purpose(entered: bool) -> Purpose {
    if entered { Purpose::CardGreeting } else { Purpose::Recognition }
}

fn later(at: WallTime, by: Duration) -> jiff::Timestamp {
    at.at.checked_add(by).unwrap_or(at.at)
}
