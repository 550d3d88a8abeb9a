//! The desk of one box: the visits of its counters, told to their screens and to the writer.
//!
//! It waits for nothing: whom it names is in the roster, what it records is handed over. No thread is here and no
//! socket: `crate::app` brings sightings, answers, changes of customers and the passing of time. It outlives a reload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::entries::Keys;
use super::records::Rows;
use super::screen::Counter;
use super::shifts::Shifts;
use super::{AnswerError, CounterState, CrmTrouble};
use crate::camera::CameraState;
use crate::clock::{Clock, Days, Monotonic};
use crate::customer::{Country, Customer, CustomerId, Purpose, Sighting, Verdict, VisitId};
use crate::face::{CameraId, CounterId};
use crate::greeting::DayHours;
use crate::i18n::Language;
use crate::store::{Roster, RosterChange, WriteQueue};
use crate::trouble::{Teller, Trouble, Troubles};
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

/// What the desk works with.
pub struct DeskParts {
    pub clock: Arc<dyn Clock>,
    /// Everybody whom it may name.
    pub roster: Roster,
    /// To the writer.
    pub queue: WriteQueue,
    pub troubles: Troubles,
    /// Whether the customers cannot be read, as the loader found.
    pub store_unreadable: Arc<AtomicBool>,
}

/// All counters of the box. One thread owns it.
pub struct Desk {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: DeskConfig,
    pub(super) roster: Roster,
    pub(super) queue: WriteQueue,
    troubles: Troubles,
    store_unreadable: Arc<AtomicBool>,
    was_unreadable: bool,
    pub(super) visits: Visits,
    pub(super) rows: Rows,
    pub(super) keys: Keys,
    pub(super) shifts: Shifts,
    pub(super) counters: BTreeMap<CounterId, Counter>,
}

impl Desk {
    pub fn new(config: DeskConfig, parts: DeskParts) -> Self {
        let DeskParts { clock, roster, queue, troubles, store_unreadable } = parts;
        let counters = config.counters.iter().map(|(id, language)| (id.clone(), Counter::new(*language))).collect();
        Self {
            clock,
            roster,
            queue,
            troubles,
            store_unreadable,
            was_unreadable: false,
            visits: Visits::new(config.visit.clone()),
            rows: Rows::default(),
            keys: Keys::default(),
            shifts: Shifts::default(),
            counters,
            config,
        }
    }

    pub fn counters(&self) -> impl Iterator<Item = &CounterId> {
        self.counters.keys()
    }

    /// What the screens of each counter follow.
    pub fn screens(&self) -> BTreeMap<CounterId, watch::Receiver<Arc<CounterState>>> {
        self.counters.iter().map(|(id, counter)| (id.clone(), counter.screen())).collect()
    }

    /// Who serves at each counter, as it is told from now on.
    pub fn shifts(&self) -> Shifts {
        self.shifts.clone()
    }

    /// Whoever is at the counters stays there; only what `config` changes is another from now on. A counter that it
    /// does not name any more is closed.
    pub fn reconfigure(&mut self, now: Monotonic, config: DeskConfig) {
        let stays = |id: &CounterId| config.counters.iter().any(|(other, _)| other == id);
        let closed: Vec<CounterId> = self.counters.keys().filter(|id| !stays(id)).cloned().collect();
        for id in closed {
            let events = self.visits.close_counter(now, &id);
            self.carry_out(now, &events);
            self.counters.remove(&id);
        }
        for (id, language) in &config.counters {
            self.counters.entry(id.clone()).or_insert_with(|| Counter::new(*language)).speak(*language);
        }
        self.visits.reconfigure(config.visit.clone());
        self.config = config;
        self.publish_unsaved(now);
    }

    /// Takes the sightings of one frame of `counter`; gives what happened there.
    pub fn see(&mut self, now: Monotonic, counter: &CounterId, sightings: &[Sighting]) -> Vec<VisitEvent> {
        if !self.counters.contains_key(counter) {
            return Vec::new();
        }
        let clock = Arc::clone(&self.clock);
        let events = self.visits.advance(now, counter, sightings, &mut || clock.mint());
        self.carry_out(now, &events);
        events
    }

    /// Lets time pass: absences, merge windows, writes that have reached the disk.
    pub fn tick(&mut self, now: Monotonic) {
        let events = self.visits.pass(now);
        self.carry_out(now, &events);
        self.settle(now);
        self.note_seen(now);
        self.publish_unsaved(now);
        let unreadable = self.queue.is_unreadable() || self.store_unreadable.load(Ordering::Acquire);
        if std::mem::replace(&mut self.was_unreadable, unreadable) != unreadable {
            self.troubles.set(Teller::Desk, Trouble::StoreUnreadable, unreadable);
        }
        self.show_troubles();
    }

    /// What of the box itself a person must mend.
    fn show_troubles(&mut self) {
        let all = self.troubles.all();
        for counter in self.counters.values_mut() {
            counter.change(|state| std::mem::replace(&mut state.troubles, all.clone()) != all);
        }
    }

    /// The truth about the cameras of `counter`.
    pub fn cameras(&mut self, counter: &CounterId, cameras: Vec<(CameraId, CameraState)>) {
        if let Some(counter) = self.counters.get_mut(counter) {
            counter.change(|state| std::mem::replace(&mut state.cameras, cameras.clone()) != cameras);
        }
    }

    /// Whether the box keeps up with its cameras.
    pub fn overloaded(&mut self, overloaded: bool) {
        for counter in self.counters.values_mut() {
            counter.change(|state| std::mem::replace(&mut state.overloaded, overloaded) != overloaded);
        }
    }

    /// What keeps visits from the CRM; `None` while they arrive, or where there is no CRM.
    pub fn crm_trouble(&mut self, trouble: Option<CrmTrouble>) {
        for counter in self.counters.values_mut() {
            counter.change(|state| std::mem::replace(&mut state.crm_trouble, trouble) != trouble);
        }
    }

    /// The cashier's word on a visit, of whatever counter.
    pub fn answer(&mut self, now: Monotonic, visit: VisitId, verdict: Verdict) -> Result<(), AnswerError> {
        if let Verdict::Other(customer) = verdict {
            let purpose = purpose(self.visits.is_entered(visit));
            self.live_customer(customer, purpose).ok_or(AnswerError::UnknownCustomer)?;
        }
        let clock = Arc::clone(&self.clock);
        let answered = self.visits.answer(now, None, visit, verdict, &mut || clock.mint());
        let events = answered.ok_or(AnswerError::UnknownVisit)?;
        self.carry_out(now, &events);
        Ok(())
    }

    /// Takes what changed of the customers; who may not be named any more leaves the screens.
    pub fn take_change(&mut self, now: Monotonic, change: RosterChange) {
        self.roster.apply(change);
        self.keep_live(now);
    }

    /// Takes customers off the screens who may not be named any more: erased, or their consent ended.
    fn keep_live(&mut self, now: Monotonic) {
        let named = self.visits.customers();
        let gone =
            |(customer, entered): &(CustomerId, bool)| self.live_customer(*customer, purpose(*entered)).is_none();
        let gone: Vec<CustomerId> = named.iter().filter(|one| gone(one)).map(|(customer, _)| *customer).collect();
        self.drop_customers(now, &gone);
    }

    /// Lets everybody leave and hands over what is to be written: the service stops. The writer is waited for by
    /// whoever has its thread.
    pub fn close(&mut self, now: Monotonic) {
        let events = self.visits.suspend(now);
        self.carry_out(now, &events);
        self.queue.finish();
    }

    /// Visits that were shown and are not on the disk.
    pub fn unsaved(&self) -> usize {
        self.queue.unsaved(self.clock.monotonic())
    }

    /// Failed tries to write since the start.
    pub fn failures(&self) -> u64 {
        self.queue.failures()
    }

    pub(super) fn carry_out(&mut self, now: Monotonic, events: &[VisitEvent]) {
        for event in events {
            self.show(event);
            self.record(now, event);
        }
    }

    pub(super) fn drop_customers(&mut self, now: Monotonic, gone: &[CustomerId]) {
        for customer in gone {
            let events = self.visits.forget(*customer);
            self.carry_out(now, &events);
        }
    }

    pub(super) fn days(&self) -> Days {
        self.clock.days(&self.config.time_zone)
    }

    /// A customer who may be named for `purpose` today.
    pub(super) fn live_customer(&self, id: CustomerId, purpose: Purpose) -> Option<Customer> {
        let days = self.days();
        self.roster.customer(id).filter(|customer| customer.consent.is_live(purpose, days))
    }

    fn publish_unsaved(&mut self, now: Monotonic) {
        let unsaved = self.queue.unsaved(now);
        for counter in self.counters.values_mut() {
            counter.change(|state| std::mem::replace(&mut state.unsaved_visits, unsaved) != unsaved);
        }
    }
}

/// What a customer must have agreed to who is named by a card, or else by a face.
pub(super) fn purpose(entered: bool) -> Purpose {
    if entered { Purpose::CardGreeting } else { Purpose::Recognition }
}
