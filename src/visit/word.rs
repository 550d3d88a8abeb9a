//! What the cashier's word does to visits and questions.
//!
//! The wire form of an answer is `crate::web`'s; what it does to a row is `crate::store`'s.

use uuid::Uuid;

use super::stay::{By, Presence, Question, Shown, Stay, Tracks};
use super::{Look, Refusal, VisitEvent, Visits};
use crate::clock::Monotonic;
use crate::customer::{CustomerId, HowKnown, Verdict, VisitId};
use crate::face::CounterId;

impl Visits {
    /// The cashier's word at `counter`; without one it is about the visit wherever it is. `None`: no such visit is
    /// in the box. An answer that was already given changes nothing. `mint` gives an id where a word opens a visit.
    ///
    /// «Не он» is about the face before this cashier, and a wrong record is worse than a missing one. So it voids
    /// the visit everywhere and keeps its counters from naming that customer for a while; except where the visit is
    /// true all the same: a card or a cashier vouched for it at another counter, or it was opened elsewhere and a
    /// counter sees them now. Then they leave this counter only. A visit opened elsewhere of which this is the only
    /// presence is void too: the same face, walking from till to till, is far likelier than two that are taken for
    /// one customer. `Other` follows the same rule: the visit is moved, or stays and the other's begins here.
    pub fn answer(
        &mut self,
        now: Monotonic,
        counter: Option<&CounterId>,
        visit: VisitId,
        verdict: Verdict,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Option<Vec<VisitEvent>> {
        let is_stay = self.stays.iter().any(|stay| stay.visit == visit);
        if !is_stay && !self.questions.iter().any(|question| question.visit == visit) {
            return None;
        }
        let mut events = self.pass_except(now, Some(visit));
        if let Some(index) = self.questions.iter().position(|question| question.visit == visit) {
            let question = self.questions.remove(index);
            events.extend(self.reply(now, question, verdict));
            return Some(events);
        }
        let index = self.stays.iter().position(|stay| stay.visit == visit)?;
        let stay = &mut self.stays[index];
        let place = counter.cloned().unwrap_or_else(|| place_of(stay));
        let stands = counter.is_some_and(|counter| stay.stands_without(counter));
        events.extend(match verdict {
            Verdict::Done => dismiss(now, stay, counter),
            Verdict::Yes => confirm(stay, place),
            Verdict::Other(customer) if customer == stay.customer => confirm(stay, place),
            Verdict::No if stands => self.withdraw(now, index, &place).1,
            Verdict::No => self.reject(now, index, &place).1,
            Verdict::Other(customer) if stands => {
                let (presence, mut events) = self.withdraw(now, index, &place);
                let presence = presence.unwrap_or_else(|| Presence::new(now));
                events.extend(self.give(now, VisitId(mint()), &place, customer, presence));
                events
            }
            Verdict::Other(customer) => self.move_to(now, index, &place, customer),
        });
        Some(events)
    }

    /// The answer to a question.
    fn reply(&mut self, now: Monotonic, question: Question, verdict: Verdict) -> Vec<VisitEvent> {
        let named = match verdict {
            Verdict::Yes => question.candidates.first().copied(),
            Verdict::Other(customer) => Some(customer),
            // Done with somebody who is only asked about: nobody of those is here.
            Verdict::No | Verdict::Done => None,
        };
        let (visit, counter) = (question.visit, &question.counter);
        let Some(customer) = named else {
            question.candidates.iter().for_each(|customer| self.refuse(now, counter, *customer));
            return vec![VisitEvent::Rejected { visit, counter: counter.clone(), recorded: false }];
        };
        let mut events = Vec::new();
        if self.stays.iter().any(|stay| stay.customer == customer) {
            events.push(question.left());
        }
        let presence = Presence { tracks: question.answered_tracks(), ..Presence::new(now) };
        events.extend(self.give(now, visit, counter, customer, presence));
        events
    }

    /// The cashier named who is here: their visit goes on at this counter, or `visit` is opened as theirs.
    fn give(
        &mut self,
        now: Monotonic,
        visit: VisitId,
        counter: &CounterId,
        customer: CustomerId,
        presence: Presence,
    ) -> Vec<VisitEvent> {
        self.allow(counter, customer);
        let shown = if presence.is_shown() { presence.shown } else { Shown::Seen };
        let presence = Presence { tracks: by_word(presence.tracks), shown, ..presence };
        if let Some(stay) = self.stays.iter_mut().find(|stay| stay.customer == customer) {
            return join(now, stay, counter, presence).into_iter().collect();
        }
        let mut stay = Stay::new(visit, customer, counter, presence);
        stay.vouched.insert(counter.clone());
        self.stays.push(stay);
        vec![VisitEvent::Opened { visit, counter: counter.clone(), customer, how: HowKnown::Confirmed }]
    }

    /// It was not they at this counter; the visit is true without it.
    fn withdraw(&mut self, now: Monotonic, index: usize, place: &CounterId) -> (Option<Presence>, Vec<VisitEvent>) {
        self.refuse(now, place, self.stays[index].customer);
        let (stay, merge) = (&mut self.stays[index], self.config.merge);
        stay.vouched.remove(place);
        let presence = stay.at(place).cloned();
        (presence, stay.leave(now, place, merge).into_iter().collect())
    }

    /// The visit never was. Gives who stood at this counter.
    fn reject(&mut self, now: Monotonic, index: usize, place: &CounterId) -> (Option<Presence>, Vec<VisitEvent>) {
        let mut events = self.leave_others(now, index, place);
        let stay = self.stays.remove(index);
        events.push(VisitEvent::Rejected { visit: stay.visit, counter: place.clone(), recorded: true });
        (stay.at(place).cloned(), events)
    }

    /// The visit is `other`'s; or, where they have one already, that one goes on and this never was.
    fn move_to(&mut self, now: Monotonic, index: usize, place: &CounterId, other: CustomerId) -> Vec<VisitEvent> {
        if self.stays.iter().any(|stay| stay.customer == other) {
            let (presence, mut events) = self.reject(now, index, place);
            // An answer that comes after they have gone brings nobody onto a screen.
            if let Some(presence) = presence {
                self.allow(place, other);
                let presence = Presence { tracks: by_word(presence.tracks), ..presence };
                let theirs = self.stays.iter_mut().find(|stay| stay.customer == other);
                events.extend(theirs.and_then(|stay| join(now, stay, place, presence)));
            }
            return events;
        }
        let mut events = self.leave_others(now, index, place);
        self.allow(place, other);
        let stay = &mut self.stays[index];
        stay.customer = other;
        stay.vouched = [place.clone()].into();
        if let Some(presence) = stay.at_mut(place) {
            presence.tracks = by_word(std::mem::take(&mut presence.tracks));
        }
        events.push(VisitEvent::Reassigned { visit: stay.visit, counter: place.clone(), customer: other });
        events
    }

    /// The customer of this stay was never here: refused at every counter that has them, and off the others'
    /// screens.
    fn leave_others(&mut self, now: Monotonic, index: usize, place: &CounterId) -> Vec<VisitEvent> {
        let merge = self.config.merge;
        let (customer, counters) = (self.stays[index].customer, self.stays[index].counters());
        self.refuse(now, place, customer);
        let mut events = Vec::new();
        for counter in counters.iter().filter(|counter| *counter != place) {
            self.refuse(now, counter, customer);
            events.extend(self.stays[index].leave(now, counter, merge));
        }
        events
    }

    fn refuse(&mut self, now: Monotonic, counter: &CounterId, customer: CustomerId) {
        self.allow(counter, customer);
        self.refused.push(Refusal { counter: counter.clone(), customer, seen_at: now });
    }

    /// The counter may name the customer again.
    pub(super) fn allow(&mut self, counter: &CounterId, customer: CustomerId) {
        self.refused.retain(|r| r.customer != customer || r.counter != *counter);
    }

    /// Whether this face is of somebody whom this counter's cashier is done with and who has not gone yet.
    pub(super) fn is_done_with(&mut self, look: Look<'_>, customer: CustomerId) -> bool {
        let Look { now, counter, track, .. } = look;
        for stay in &mut self.stays {
            let is_theirs = stay.customer == customer;
            let Some(presence) = stay.at_mut(counter).filter(|presence| !presence.is_shown()) else { continue };
            if is_theirs || presence.tracks.contains_key(&track) {
                presence.tracks.entry(track).or_insert(By::Match);
                presence.see(now);
                return true;
            }
        }
        false
    }
}

/// The cashier is done with the customer: off the screen, and not shown there again before they were out of sight
/// for as long as somebody who has left.
fn dismiss(now: Monotonic, stay: &mut Stay, at: Option<&CounterId>) -> Vec<VisitEvent> {
    let visit = stay.visit;
    let meant = |counter: &CounterId| at.is_none_or(|at| at == counter);
    let shown = stay.presences_mut().filter(|(counter, presence)| meant(counter) && presence.is_shown());
    let left = shown.map(|(counter, presence)| {
        presence.shown = Shown::Done;
        presence.see(now);
        VisitEvent::Left { visit, counter: counter.clone(), recorded: true, last: false }
    });
    left.collect()
}

fn confirm(stay: &mut Stay, place: CounterId) -> Vec<VisitEvent> {
    stay.vouched.insert(place.clone());
    vec![VisitEvent::Confirmed { visit: stay.visit, counter: place }]
}

/// Who stands here is the customer of `stay`.
fn join(now: Monotonic, stay: &mut Stay, counter: &CounterId, presence: Presence) -> Option<VisitEvent> {
    stay.vouched.insert(counter.clone());
    stay.come(now, counter, false, |here| {
        here.tracks.extend(presence.tracks);
        here.shown = match (here.shown, presence.shown) {
            (Shown::Held { until }, Shown::Held { until: also }) => Shown::Held { until: until.max(also) },
            (held @ Shown::Held { .. }, _) | (_, held @ Shown::Held { .. }) => held,
            _ => Shown::Seen,
        };
    })
}

fn by_word(tracks: Tracks) -> Tracks {
    tracks.into_keys().map(|track| (track, By::Word)).collect()
}

/// Where a visit is, for a word that does not say where: where it was opened, if it is there.
fn place_of(stay: &Stay) -> CounterId {
    let here = stay.counters();
    let elsewhere = here.iter().find(|counter| **counter != stay.opened_at);
    match elsewhere {
        Some(elsewhere) if !here.contains(&stay.opened_at) => elsewhere.clone(),
        _ => stay.opened_at.clone(),
    }
}
