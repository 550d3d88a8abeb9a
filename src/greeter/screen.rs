//! The screen's side of what happens at a counter: who stands there, in which words.
//!
//! The wire form is `crate::web`'s; what is recorded of it is `records`.

use std::sync::Arc;

use tokio::sync::watch;

use super::desk::purpose;
use super::entries::Strangers;
use super::{CandidateCard, CounterState, Desk, Greeted, Present};
use crate::customer::{CustomerId, Purpose, VisitId};
use crate::face::CounterId;
use crate::greeting;
use crate::i18n::Language;
use crate::visit::VisitEvent;

/// A counter with its screens.
pub(super) struct Counter {
    language: Language,
    pub(super) strangers: Strangers,
    state: CounterState,
    screen: watch::Sender<Arc<CounterState>>,
}

impl Counter {
    pub fn new(language: Language) -> Self {
        let (screen, _) = watch::channel(Arc::default());
        Self { language, strangers: Strangers::default(), state: CounterState::default(), screen }
    }

    pub fn screen(&self) -> watch::Receiver<Arc<CounterState>> {
        self.screen.subscribe()
    }

    pub fn speak(&mut self, language: Language) {
        self.language = language;
    }

    /// Publishes the picture if `change` says that it is another one.
    pub fn change(&mut self, change: impl FnOnce(&mut CounterState) -> bool) {
        if change(&mut self.state) {
            self.screen.send_replace(Arc::new(self.state.clone()));
        }
    }
}

impl Desk {
    /// The screen's side of an event, published at once.
    pub(super) fn show(&mut self, event: &VisitEvent) {
        let (id, visit) = place(event);
        let since = self.clock.wall().at;
        let entered = self.visits.is_entered(visit);
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
        counter.change(|state| {
            let present = &mut state.present;
            match (who, present.iter_mut().find(|p| p.visit == visit)) {
                (Some(who), Some(there)) => (there.who, there.entered) = (who, entered),
                // An answer that comes after they have gone brings nobody back.
                (Some(_), None) if matches!(event, VisitEvent::Reassigned { .. }) => return false,
                (Some(who), None) => present.push(Present { visit, since, who, entered }),
                (None, Some(there)) if matches!(event, VisitEvent::Held { .. }) => there.entered = true,
                (None, _) => present.retain(|p| p.visit != visit),
            }
            true
        });
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
