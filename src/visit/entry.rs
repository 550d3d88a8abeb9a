//! What a card or phone given at the counter does to its visits: it names somebody whom no camera need see.
//!
//! Whose card it is, is `crate::greeter`'s question to the store; the rules for faces are in `super`.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Stay, VisitEvent, Visits, Who};
use crate::clock::Monotonic;
use crate::customer::{CustomerId, HowKnown, TrackId, VisitId};

impl Visits {
    /// A customer gave their card or phone: opens their visit, or goes on with the one that is here or within the
    /// merge window. Gives the visit and what happened.
    ///
    /// They stay on the screen until the hold has passed, the cashier is done with them, or the next customer's
    /// card is entered, whichever is first. A camera that has matched them for the dwell time takes over: from then
    /// on they leave as everybody does, by being out of sight, since a card must not stay after its customer.
    pub fn introduce(
        &mut self,
        now: Monotonic,
        customer: CustomerId,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> (VisitId, Vec<VisitEvent>) {
        let mut events = self.end_other_holds(now, customer);
        // Who holds the customer's card is taken for them, whatever was said of a face before.
        self.refused.retain(|r| r.customer != customer);
        let (counter, held_until) = (self.counter.clone(), Some(now + self.config.card_hold));
        if let Some(stay) = self.stays.iter_mut().find(|s| s.is_of(customer)) {
            let visit = stay.visit;
            (stay.entered, stay.held_until, stay.dismissed_at, stay.seen_at) = (true, held_until, None, now);
            events.push(match stay.left_at.take() {
                Some(_) => VisitEvent::Returned { visit, counter, customer, entered: true },
                None => VisitEvent::Held { visit, counter },
            });
            self.drop_questions_for(customer, &mut events);
            return (visit, events);
        }
        // «Это Иван?», and Ivan's card is entered: that is the answer, and the face asked about is his.
        let about_them = |s: &Stay| matches!(&s.who, Who::Suggestion(all) if all.contains(&customer));
        let asked = self.stays.iter().position(|s| s.asks_for(customer)).or(self.stays.iter().position(about_them));
        let (visit, tracks, known_by) = match asked {
            Some(index) => {
                let question = self.stays.remove(index);
                (question.visit, question.tracks, HowKnown::Confirmed)
            }
            None => (VisitId(mint()), HashSet::new(), HowKnown::Entered),
        };
        self.drop_questions_for(customer, &mut events);
        let who = Who::Customer(customer, known_by);
        self.stays.push(Stay { entered: true, held_until, ..Stay::new(visit, who, tracks, now) });
        events.push(VisitEvent::Opened { visit, counter, customer, how: HowKnown::Entered });
        (visit, events)
    }

    /// The next customer is being served. Those of other cards leave, unless a camera has seen them: then their
    /// absence tells.
    fn end_other_holds(&mut self, now: Monotonic, customer: CustomerId) -> Vec<VisitEvent> {
        let mut events = Vec::new();
        for stay in self.stays.iter_mut().filter(|s| !s.is_of(customer)) {
            let was_held = stay.held_until.take().is_some();
            if was_held && stay.tracks.is_empty() && stay.left_at.is_none() {
                stay.left_at = Some(now);
                let counter = self.counter.clone();
                events.push(VisitEvent::Left { visit: stay.visit, counter, recorded: true });
            }
        }
        events
    }

    fn drop_questions_for(&mut self, customer: CustomerId, events: &mut Vec<VisitEvent>) {
        let counter = &self.counter;
        self.stays.retain(|stay| {
            let answered = stay.asks_for(customer);
            if answered {
                events.push(VisitEvent::Left { visit: stay.visit, counter: counter.clone(), recorded: false });
            }
            !answered
        });
    }

    /// The cashier is done with the customer of this stay: off the screen, and not shown again before they were out
    /// of sight for as long as somebody who has left.
    pub(super) fn dismiss(&mut self, now: Monotonic, index: usize) -> Vec<VisitEvent> {
        let stay = &mut self.stays[index];
        (stay.held_until, stay.dismissed_at) = (None, Some(now));
        if stay.left_at.replace(now).is_some() {
            return Vec::new();
        }
        vec![VisitEvent::Left { visit: stay.visit, counter: self.counter.clone(), recorded: true }]
    }

    /// Whether this face is of somebody whom the cashier is done with and who has not gone yet.
    pub(super) fn is_dismissed(&mut self, now: Monotonic, track: TrackId, customer: CustomerId) -> bool {
        let absence = self.config.absence;
        let stay = self.stays.iter_mut().find(|s| {
            s.dismissed_at.is_some_and(|at| now.since(at) < absence) && (s.is_of(customer) || s.tracks.contains(&track))
        });
        let dismissed = stay.map(|stay| {
            stay.tracks.insert(track);
            (stay.dismissed_at, stay.left_at) = (Some(now), Some(now));
        });
        dismissed.is_some()
    }
}
