//! From sightings to visits: one visit a stay at a counter, and one greeting a visit.
//!
//! Pure state and time: names, phrases, screens and rows are `crate::greeter`'s. What a card or phone given at the
//! counter does to a visit is in `entry`.

mod entry;
mod event;

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Monotonic;
use crate::customer::{Candidate, CustomerId, Decision, HowKnown, Sighting, TrackId, Verdict, VisitId};
use crate::face::CounterId;
pub use event::{VisitConfig, VisitEvent};

#[derive(Clone, Debug, PartialEq)]
enum Who {
    Customer(CustomerId, HowKnown),
    /// Best first, never empty.
    Suggestion(Vec<CustomerId>),
}

struct Stay {
    visit: VisitId,
    who: Who,
    /// Tracks that were given to this stay, on any camera of the counter.
    tracks: HashSet<TrackId>,
    seen_at: Monotonic,
    /// Off the screen since then, waiting for the merge window to pass.
    left_at: Option<Monotonic>,
    /// Whether a card named them, not a face.
    entered: bool,
    /// Until then their card, having been entered, keeps them on the screen without being seen.
    held_until: Option<Monotonic>,
    /// The cashier was done with them; when they were last seen standing there all the same.
    dismissed_at: Option<Monotonic>,
}

impl Stay {
    fn new(visit: VisitId, who: Who, tracks: HashSet<TrackId>, now: Monotonic) -> Self {
        Self { visit, who, tracks, seen_at: now, left_at: None, entered: false, held_until: None, dismissed_at: None }
    }

    fn is_of(&self, customer: CustomerId) -> bool {
        matches!(&self.who, Who::Customer(who, _) if *who == customer)
    }

    /// Whether this is a question whose likeliest answer is `customer`.
    fn asks_for(&self, customer: CustomerId) -> bool {
        matches!(&self.who, Who::Suggestion(candidates) if candidates.first() == Some(&customer))
    }
}

/// A customer the cashier refused: not named here again until they have been out of sight for a while.
struct Refusal {
    customer: CustomerId,
    seen_at: Monotonic,
}

/// How long a refused customer must be unseen before the counter may name them again.
const REFUSAL: Duration = Duration::from_secs(30);

/// The visits of one counter.
pub struct Visits {
    counter: CounterId,
    config: VisitConfig,
    stays: Vec<Stay>,
    refused: Vec<Refusal>,
    /// Since when each live track has been here, with when it was last seen.
    arrivals: Vec<(TrackId, Monotonic, Monotonic)>,
}

impl Visits {
    pub fn new(counter: CounterId, config: VisitConfig) -> Self {
        Self { counter, config, stays: Vec::new(), refused: Vec::new(), arrivals: Vec::new() }
    }

    /// Takes one frame's sightings at this counter, or none as time passes. `mint` gives ids for new visits.
    pub fn advance(
        &mut self,
        now: Monotonic,
        sightings: &[Sighting],
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Vec<VisitEvent> {
        let mut events = Vec::new();
        for sighting in sightings {
            debug_assert_eq!(sighting.counter, self.counter);
            let dwelt = self.arrive(sighting) >= self.config.dwell;
            match &sighting.decision {
                Decision::Match(candidate) => {
                    self.matched(now, sighting.track, candidate.customer, dwelt, mint, &mut events)
                }
                Decision::Maybe(candidates) => self.maybe(now, sighting.track, candidates, dwelt, mint, &mut events),
                Decision::NoMatch | Decision::Undecided(_) => self.unnamed(now, sighting.track),
            }
        }
        self.pass(now, &mut events);
        events
    }

    /// The cashier's word. `None`: no such visit is here. An answer that was already given changes nothing.
    pub fn answer(&mut self, now: Monotonic, visit: VisitId, answer: Verdict) -> Option<Vec<VisitEvent>> {
        let index = self.stays.iter().position(|s| s.visit == visit)?;
        let counter = self.counter.clone();
        let who = self.stays[index].who.clone();
        let events = match (who, answer) {
            (Who::Customer(..), Verdict::Yes) => vec![VisitEvent::Confirmed { visit, counter }],
            (Who::Customer(customer, _), Verdict::Other(other)) if customer == other => {
                vec![VisitEvent::Confirmed { visit, counter }]
            }
            (Who::Customer(customer, _), Verdict::Other(other)) => {
                self.refused.push(Refusal { customer, seen_at: now });
                let gone = VisitEvent::Rejected { visit, counter: counter.clone(), recorded: true };
                self.give(now, index, other, gone, |customer| VisitEvent::Reassigned { visit, counter, customer })
            }
            (Who::Suggestion(candidates), Verdict::Yes) => self.confirm(now, index, candidates[0]),
            (Who::Suggestion(_), Verdict::Other(customer)) => self.confirm(now, index, customer),
            (Who::Customer(..), Verdict::Done) => self.dismiss(now, index),
            // Done with somebody who is only asked about: nobody of those is here.
            (who, Verdict::No | Verdict::Done) => {
                let (customers, recorded) = match who {
                    Who::Customer(customer, _) => (vec![customer], true),
                    Who::Suggestion(candidates) => (candidates, false),
                };
                self.refused.extend(customers.into_iter().map(|customer| Refusal { customer, seen_at: now }));
                self.stays.remove(index);
                vec![VisitEvent::Rejected { visit, counter, recorded }]
            }
        };
        Some(events)
    }

    /// A suggestion becomes a visit by the cashier's word.
    fn confirm(&mut self, now: Monotonic, index: usize, customer: CustomerId) -> Vec<VisitEvent> {
        let (visit, counter) = (self.stays[index].visit, self.counter.clone());
        let gone = VisitEvent::Left { visit, counter: counter.clone(), recorded: false };
        let how = HowKnown::Confirmed;
        self.give(now, index, customer, gone, |customer| VisitEvent::Opened { visit, counter, customer, how })
    }

    /// Gives the stay at `index` to `customer`: `given` happens; or, where the customer has a visit here
    /// already (its window is still open), that one goes on and `gone` happens to this.
    fn give(
        &mut self,
        now: Monotonic,
        index: usize,
        customer: CustomerId,
        gone: VisitEvent,
        given: impl FnOnce(CustomerId) -> VisitEvent,
    ) -> Vec<VisitEvent> {
        self.refused.retain(|r| r.customer != customer);
        let who = Who::Customer(customer, HowKnown::Confirmed);
        let Some(other) = self.stays.iter().position(|s| s.is_of(customer)) else {
            self.stays[index].who = who;
            return vec![given(customer)];
        };
        let tracks = std::mem::take(&mut self.stays[index].tracks);
        let held_until = self.stays[index].held_until;
        let stay = &mut self.stays[other];
        stay.tracks.extend(tracks);
        (stay.who, stay.seen_at, stay.dismissed_at) = (who, now, None);
        stay.held_until = stay.held_until.max(held_until);
        let mut events = vec![gone];
        if stay.left_at.take().is_some() {
            let (visit, counter, entered) = (stay.visit, self.counter.clone(), stay.entered);
            events.push(VisitEvent::Returned { visit, counter, customer, entered });
        }
        self.stays.remove(index);
        events
    }

    /// Forgets an erased customer: their stay leaves the screen, and nothing more is said of the visit.
    pub fn forget(&mut self, customer: CustomerId) -> Vec<VisitEvent> {
        let mut events = Vec::new();
        self.refused.retain(|r| r.customer != customer);
        self.stays.retain_mut(|stay| {
            let keep = match &mut stay.who {
                Who::Customer(who, _) => *who != customer,
                Who::Suggestion(candidates) => {
                    candidates.retain(|c| *c != customer);
                    !candidates.is_empty()
                }
            };
            if !keep && stay.left_at.is_none() {
                let counter = self.counter.clone();
                events.push(VisitEvent::Left { visit: stay.visit, counter, recorded: false });
            }
            keep
        });
        events
    }

    /// The customers whose visits are not over, on the screen or within the merge window, each with whether a card
    /// named them.
    pub fn customers(&self) -> Vec<(CustomerId, bool)> {
        let all = self.stays.iter().flat_map(|stay| match &stay.who {
            Who::Customer(customer, _) => vec![(*customer, stay.entered)],
            Who::Suggestion(candidates) => candidates.iter().map(|customer| (*customer, false)).collect(),
        });
        all.collect()
    }

    /// Whether this visit is one that a card or phone opened or brought back.
    pub fn is_entered(&self, visit: VisitId) -> bool {
        self.stays.iter().any(|stay| stay.visit == visit && stay.entered)
    }

    /// Ends everything: the service stops.
    pub fn close_all(&mut self) -> Vec<VisitEvent> {
        let mut events = Vec::new();
        for stay in self.stays.drain(..) {
            let (visit, counter) = (stay.visit, self.counter.clone());
            let recorded = matches!(stay.who, Who::Customer(..));
            if stay.left_at.is_none() {
                events.push(VisitEvent::Left { visit, counter: counter.clone(), recorded });
            }
            if recorded {
                events.push(VisitEvent::Closed { visit, counter });
            }
        }
        self.arrivals.clear();
        events
    }

    /// Notes that a track is here; how long it has been.
    fn arrive(&mut self, sighting: &Sighting) -> Duration {
        match self.arrivals.iter_mut().find(|(track, ..)| *track == sighting.track) {
            Some((_, since, seen)) => {
                *seen = sighting.seen_at;
                sighting.seen_at.since(*since)
            }
            None => {
                self.arrivals.push((sighting.track, sighting.seen_at, sighting.seen_at));
                Duration::ZERO
            }
        }
    }

    fn matched(
        &mut self,
        now: Monotonic,
        track: TrackId,
        customer: CustomerId,
        dwelt: bool,
        mint: &mut dyn FnMut() -> Uuid,
        events: &mut Vec<VisitEvent>,
    ) {
        if self.is_confirmed(now, track) || self.is_refused(now, customer) || self.is_dismissed(now, track, customer) {
            return;
        }
        let counter = self.counter.clone();
        if let Some(stay) = self.stays.iter_mut().find(|s| s.is_of(customer)) {
            stay.tracks.insert(track);
            // Back after leaving is arriving anew: a passer-by's moment does not bring the card back.
            if stay.left_at.is_some() && !dwelt {
                return;
            }
            stay.seen_at = now;
            if dwelt {
                // From here on a camera tells when they leave, sooner and better than the time of the hold.
                stay.held_until = None;
            }
            if stay.left_at.take().is_some() {
                events.push(VisitEvent::Returned { visit: stay.visit, counter, customer, entered: false });
            }
            self.settle_questions(customer, track, events);
            return;
        }
        if !dwelt {
            return;
        }
        // A suggestion about this very face is answered by the match, or one about the customer on another camera.
        let asked = |wanted: &dyn Fn(&Stay) -> bool| self.stays.iter().position(wanted);
        let suggested = asked(&|s| matches!(s.who, Who::Suggestion(_)) && s.tracks.contains(&track))
            .or_else(|| asked(&|s| s.asks_for(customer)));
        let (visit, mut tracks) = match suggested {
            Some(index) => {
                let stay = self.stays.remove(index);
                (stay.visit, stay.tracks)
            }
            None => (VisitId(mint()), HashSet::new()),
        };
        tracks.insert(track);
        self.settle_questions(customer, track, events);
        let who = Who::Customer(customer, HowKnown::Match);
        self.stays.push(Stay::new(visit, who, tracks, now));
        events.push(VisitEvent::Opened { visit, counter, customer, how: HowKnown::Match });
    }

    /// Takes away the questions that a match of `track` with `customer` has answered.
    fn settle_questions(&mut self, customer: CustomerId, track: TrackId, events: &mut Vec<VisitEvent>) {
        let counter = &self.counter;
        self.stays.retain(|stay| {
            let asks = matches!(stay.who, Who::Suggestion(_));
            let settled = asks && (stay.asks_for(customer) || stay.tracks.contains(&track));
            if settled {
                events.push(VisitEvent::Left { visit: stay.visit, counter: counter.clone(), recorded: false });
            }
            !settled
        });
    }

    fn maybe(
        &mut self,
        now: Monotonic,
        track: TrackId,
        candidates: &[Candidate],
        dwelt: bool,
        mint: &mut dyn FnMut() -> Uuid,
        events: &mut Vec<VisitEvent>,
    ) {
        if self.is_confirmed(now, track) {
            return;
        }
        // Every candidate is asked about, so that a refused one stays refused while seen.
        let refused: Vec<bool> = candidates.iter().map(|c| self.is_refused(now, c.customer)).collect();
        if refused.contains(&true) {
            return;
        }
        let candidates: Vec<CustomerId> = candidates.iter().map(|c| c.customer).collect();
        let Some(best) = candidates.first() else { return };
        if self.is_dismissed(now, track, *best) {
            return;
        }
        // Their best candidate is already here: another camera's, or a worse look of the same face.
        let known = self.stays.iter_mut().find(|s| match &s.who {
            Who::Customer(customer, _) => customer == best && s.left_at.is_none(),
            Who::Suggestion(others) => others.first() == Some(best) || s.tracks.contains(&track),
        });
        if let Some(stay) = known {
            if matches!(stay.who, Who::Suggestion(_)) || stay.tracks.contains(&track) {
                stay.tracks.insert(track);
                stay.seen_at = now;
            }
            return;
        }
        if dwelt {
            let (visit, counter) = (VisitId(mint()), self.counter.clone());
            let who = Who::Suggestion(candidates.clone());
            self.stays.push(Stay::new(visit, who, HashSet::from([track]), now));
            events.push(VisitEvent::Suggested { visit, counter, candidates });
        }
    }

    /// A face without a name keeps a suggestion or a confirmed visit alive that it was given to.
    fn unnamed(&mut self, now: Monotonic, track: TrackId) {
        if self.is_confirmed(now, track) {
            return;
        }
        let stay = self.stays.iter_mut().find(|s| s.tracks.contains(&track));
        if let Some(stay) = stay.filter(|s| matches!(s.who, Who::Suggestion(_)) && s.left_at.is_none()) {
            stay.seen_at = now;
        }
    }

    /// Whether a person has said whose face this track is; their word holds while the track lives.
    fn is_confirmed(&mut self, now: Monotonic, track: TrackId) -> bool {
        let stay = self.stays.iter_mut().find(|s| {
            matches!(s.who, Who::Customer(_, HowKnown::Confirmed)) && s.tracks.contains(&track) && s.left_at.is_none()
        });
        stay.map(|stay| stay.seen_at = now).is_some()
    }

    fn is_refused(&mut self, now: Monotonic, customer: CustomerId) -> bool {
        self.refused.retain(|r| now.since(r.seen_at) < REFUSAL);
        let refusal = self.refused.iter_mut().find(|r| r.customer == customer);
        refusal.map(|r| r.seen_at = now).is_some()
    }

    /// Lets time pass: who is gone leaves the screen, who is long gone has ended the visit.
    fn pass(&mut self, now: Monotonic, events: &mut Vec<VisitEvent>) {
        let (absence, merge) = (self.config.absence, self.config.merge);
        self.arrivals.retain(|(_, _, seen)| now.since(*seen) < absence);
        let counter = &self.counter;
        self.stays.retain_mut(|stay| {
            let recorded = matches!(stay.who, Who::Customer(..));
            let is_held = stay.held_until.is_some_and(|until| now < until);
            if stay.left_at.is_none() && !is_held && now.since(stay.seen_at) >= absence {
                stay.left_at = Some(now);
                events.push(VisitEvent::Left { visit: stay.visit, counter: counter.clone(), recorded });
            }
            let over = stay.left_at.is_some_and(|left| !recorded || now.since(left) >= merge);
            if over && recorded {
                events.push(VisitEvent::Closed { visit: stay.visit, counter: counter.clone() });
            }
            !over
        });
    }
}

#[cfg(test)]
mod tests;
