//! What a card or phone given at a counter does to visits: it names somebody whom no camera need see.
//!
//! Whose card it is, is `crate::greeter`'s question; the rules for faces are in `super`.

use uuid::Uuid;

use super::stay::{Presence, Shown, Stay};
use super::{VisitEvent, Visits};
use crate::clock::Monotonic;
use crate::customer::{CustomerId, HowKnown, VisitId};
use crate::face::CounterId;

impl Visits {
    /// A customer gave their card or phone at `counter`: opens their visit, or goes on with the one that is at any
    /// counter or within the merge window. Gives the visit and what happened.
    ///
    /// They stay on this counter's screen until the hold has passed, the cashier is done with them, or the next
    /// customer's card is entered here, whichever is first. A camera that has matched them here for the dwell time
    /// takes over: from then on they leave as everybody does, by being out of sight, since a card must not stay
    /// after its customer.
    pub fn introduce(
        &mut self,
        now: Monotonic,
        counter: &CounterId,
        customer: CustomerId,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> (VisitId, Vec<VisitEvent>) {
        let mut events = self.pass(now);
        self.end_other_holds(now, counter, customer, &mut events);
        // Who holds the customer's card is taken for them, whatever was said of a face before.
        self.allow(counter, customer);
        let held = Shown::Held { until: now + self.config.card_hold };
        if let Some(stay) = self.stays.iter_mut().find(|stay| stay.customer == customer) {
            let visit = stay.visit;
            stay.entered = true;
            stay.vouched.insert(counter.clone());
            let came = stay.come(now, counter, true, |presence| presence.shown = held);
            events.push(came.unwrap_or(VisitEvent::Held { visit, counter: counter.clone() }));
            self.drop_questions_for(counter, customer, &mut events);
            return (visit, events);
        }
        // «Это Иван?», and Ivan's card is entered: that is the answer, and the face asked about is his.
        let asked = self.questions.iter().position(|q| q.asks_for(counter, customer));
        let about_them =
            || self.questions.iter().position(|q| q.counter == *counter && q.candidates.contains(&customer));
        let asked = asked.or_else(about_them).map(|index| self.questions.remove(index));
        let visit = asked.as_ref().map_or_else(|| VisitId(mint()), |question| question.visit);
        let tracks = asked.map(|question| question.answered_tracks()).unwrap_or_default();
        self.drop_questions_for(counter, customer, &mut events);
        let mut stay = Stay::new(visit, customer, counter, Presence { shown: held, tracks, seen_at: now });
        stay.entered = true;
        stay.vouched.insert(counter.clone());
        self.stays.push(stay);
        events.push(VisitEvent::Opened { visit, counter: counter.clone(), customer, how: HowKnown::Entered });
        (visit, events)
    }

    /// The next customer is being served here. Those of other cards leave this counter, unless a camera has seen
    /// them: then their absence tells.
    fn end_other_holds(
        &mut self,
        now: Monotonic,
        counter: &CounterId,
        customer: CustomerId,
        events: &mut Vec<VisitEvent>,
    ) {
        let merge = self.config.merge;
        for stay in self.stays.iter_mut().filter(|stay| stay.customer != customer) {
            let held = stay.at_mut(counter).filter(|presence| matches!(presence.shown, Shown::Held { .. }));
            let Some(presence) = held else { continue };
            presence.shown = Shown::Seen;
            if presence.tracks.is_empty() {
                events.extend(stay.leave(now, counter, merge));
            }
        }
    }

    fn drop_questions_for(&mut self, counter: &CounterId, customer: CustomerId, events: &mut Vec<VisitEvent>) {
        let answered = self.questions.extract_if(.., |q| q.asks_for(counter, customer));
        events.extend(answered.map(|question| question.left()));
    }
}
