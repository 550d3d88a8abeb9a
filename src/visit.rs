//! From sightings to visits: one visit a stay in the shop, at whatever counters, and one greeting a visit.
//!
//! Pure state and time: names, phrases, screens and rows are `crate::greeter`'s. What a card or phone given at a
//! counter does to a visit is in `entry`, what the cashier's word does in `word`, the states are in `stay`.

mod entry;
mod event;
mod stay;
mod word;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Monotonic;
use crate::customer::{Candidate, CustomerId, Decision, HowKnown, Sighting, TrackId, VisitId};
use crate::face::CounterId;
pub use event::{Resumed, VisitConfig, VisitEvent};
use stay::{By, Presence, Question, Shown, Stay};

/// A customer the cashier refused: not named at this counter again until they have been out of its sight for a while.
struct Refusal {
    counter: CounterId,
    customer: CustomerId,
    seen_at: Monotonic,
}

/// How long a refused customer must be unseen before the counter may name them again.
const REFUSAL: Duration = Duration::from_secs(30);

/// Since when a live track has been here, and when it was last seen.
struct Arrival {
    counter: CounterId,
    since: Monotonic,
    seen_at: Monotonic,
}

/// A face in one frame.
#[derive(Clone, Copy)]
struct Look<'a> {
    now: Monotonic,
    counter: &'a CounterId,
    track: TrackId,
    /// Whether it has been here for the dwell time.
    dwelt: bool,
}

/// The visits of the whole box. A customer has one at a time, whatever counters see them.
pub struct Visits {
    config: VisitConfig,
    stays: Vec<Stay>,
    questions: Vec<Question>,
    refused: Vec<Refusal>,
    arrivals: HashMap<TrackId, Arrival>,
}

impl Visits {
    pub fn new(config: VisitConfig) -> Self {
        Self { config, stays: Vec::new(), questions: Vec::new(), refused: Vec::new(), arrivals: HashMap::new() }
    }

    /// Goes on by other times. A merge window that runs already keeps its end.
    pub fn reconfigure(&mut self, config: VisitConfig) {
        self.config = config;
    }

    /// Takes the sightings of one frame at `counter`; time passes at all. `mint` gives ids for new visits.
    pub fn advance(
        &mut self,
        now: Monotonic,
        counter: &CounterId,
        sightings: &[Sighting],
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Vec<VisitEvent> {
        // First: whose window is over does not come back, but comes anew.
        let mut events = self.pass(now);
        for sighting in sightings {
            debug_assert_eq!(sighting.counter, *counter);
            let dwelt = self.arrive(counter, sighting) >= self.config.dwell;
            let look = Look { now, counter, track: sighting.track, dwelt };
            match &sighting.decision {
                Decision::Match(candidate) => self.matched(look, candidate.customer, mint, &mut events),
                Decision::Maybe(candidates) => self.maybe(look, candidates, mint, &mut events),
                Decision::NoMatch => self.unnamed(look, true),
                Decision::Undecided(_) => self.unnamed(look, false),
            }
        }
        events.extend(self.pass(now));
        events
    }

    /// Lets time pass at all counters: who is gone leaves the screen, who is long gone has ended the visit.
    pub fn pass(&mut self, now: Monotonic) -> Vec<VisitEvent> {
        self.pass_except(now, None)
    }

    /// A word that comes at the last moment still finds what it is about.
    fn pass_except(&mut self, now: Monotonic, answered: Option<VisitId>) -> Vec<VisitEvent> {
        let (absence, merge) = (self.config.absence, self.config.merge);
        let mut events = Vec::new();
        let arrivals = &mut self.arrivals;
        arrivals.retain(|_, arrival| now.since(arrival.seen_at) < absence);
        self.questions.retain_mut(|question| {
            let left = now.since(question.seen_at) >= absence && answered != Some(question.visit);
            if left {
                events.push(question.left());
            }
            question.tracks.retain(|track| arrivals.contains_key(track));
            !left
        });
        self.stays.retain_mut(|stay| {
            while let Some((at, counter)) = stay.left_first(now, absence) {
                events.extend(stay.leave(at, &counter, merge));
            }
            for (_, presence) in stay.presences_mut() {
                presence.tracks.retain(|track, _| arrivals.contains_key(track));
            }
            let over = stay.gone_until().is_some_and(|until| until <= now) && answered != Some(stay.visit);
            if over {
                events.push(VisitEvent::Closed { visit: stay.visit, counter: stay.opened_at.clone() });
            }
            !over
        });
        events
    }

    /// Forgets an erased customer: they leave the screens, and nothing more is said of the visit.
    pub fn forget(&mut self, customer: CustomerId) -> Vec<VisitEvent> {
        let mut events = Vec::new();
        self.refused.retain(|r| r.customer != customer);
        for stay in self.stays.extract_if(.., |stay| stay.customer == customer) {
            let shown: Vec<&CounterId> = stay.presences().filter(|(_, p)| p.is_shown()).map(|(c, _)| c).collect();
            let last = shown.len().saturating_sub(1);
            events.extend(shown.into_iter().enumerate().map(|(n, counter)| VisitEvent::Left {
                visit: stay.visit,
                counter: counter.clone(),
                recorded: false,
                last: n == last,
            }));
        }
        self.questions.retain_mut(|question| {
            question.candidates.retain(|c| *c != customer);
            if question.candidates.is_empty() {
                events.push(question.left());
            }
            !question.candidates.is_empty()
        });
        events
    }

    /// The counter is no longer configured: whoever is there leaves it.
    pub fn close_counter(&mut self, now: Monotonic, counter: &CounterId) -> Vec<VisitEvent> {
        let merge = self.config.merge;
        self.refused.retain(|r| r.counter != *counter);
        self.arrivals.retain(|_, arrival| arrival.counter != *counter);
        let mut events: Vec<VisitEvent> =
            self.questions.extract_if(.., |q| q.counter == *counter).map(|question| question.left()).collect();
        events.extend(self.stays.iter_mut().filter_map(|stay| stay.leave(now, counter, merge)));
        events
    }

    /// Takes up a visit of the process before: its customer is out of sight, and may come back for the time that is
    /// left. Of two visits of one customer the one with more time left goes on, and the other ends.
    pub fn take_up(&mut self, now: Monotonic, resumed: Resumed) {
        if self.stays.iter().any(|stay| stay.visit == resumed.visit) {
            return;
        }
        let mut stay = Stay::resumed(resumed.clone(), now + resumed.left);
        if let Some(other) = self.stays.iter_mut().find(|other| other.customer == stay.customer) {
            if other.gone_until().is_some_and(|until| until < now + resumed.left) {
                other.end_at(now);
            } else {
                stay.end_at(now);
            }
        }
        self.stays.push(stay);
    }

    /// The process stops: everybody leaves the screens, and no visit is over for it.
    pub fn suspend(&mut self, now: Monotonic) -> Vec<VisitEvent> {
        let merge = self.config.merge;
        let mut events: Vec<VisitEvent> = self.questions.drain(..).map(|question| question.left()).collect();
        for stay in &mut self.stays {
            for counter in stay.counters() {
                events.extend(stay.leave(now, &counter, merge));
            }
        }
        self.arrivals.clear();
        events
    }

    /// The customers whose visits are not over, on a screen or within the merge window, each with whether a card
    /// named them.
    pub fn customers(&self) -> Vec<(CustomerId, bool)> {
        let known = self.stays.iter().map(|stay| (stay.customer, stay.entered));
        let asked = self.questions.iter().flat_map(|question| &question.candidates).map(|c| (*c, false));
        known.chain(asked).collect()
    }

    /// Whether this visit is one that a card or phone opened or brought back.
    pub fn is_entered(&self, visit: VisitId) -> bool {
        self.stays.iter().any(|stay| stay.visit == visit && stay.entered)
    }

    /// The recorded visits whose customers have not gone, with when each was last seen.
    pub fn present(&self) -> Vec<(VisitId, Monotonic)> {
        self.stays.iter().filter_map(|stay| Some((stay.visit, stay.seen_at()?))).collect()
    }

    /// Notes that a track is here; how long it has been.
    fn arrive(&mut self, counter: &CounterId, sighting: &Sighting) -> Duration {
        let seen_at = sighting.seen_at;
        let new = || Arrival { counter: counter.clone(), since: seen_at, seen_at };
        let arrival = self.arrivals.entry(sighting.track).or_insert_with(new);
        arrival.seen_at = seen_at;
        seen_at.since(arrival.since)
    }

    fn matched(
        &mut self,
        look: Look<'_>,
        customer: CustomerId,
        mint: &mut dyn FnMut() -> Uuid,
        events: &mut Vec<VisitEvent>,
    ) {
        if self.is_given(look) {
            return;
        }
        self.take_from_others(look, Some(customer));
        if self.is_refused(look, customer) || self.is_done_with(look, customer) {
            return;
        }
        let Look { now, counter, track, dwelt } = look;
        if let Some(stay) = self.stays.iter_mut().find(|stay| stay.customer == customer) {
            // Back after leaving, or at a second till, is arriving anew: a passer-by's moment brings no card.
            if !dwelt && !stay.is_shown_at(counter) {
                return;
            }
            events.extend(stay.come(now, counter, false, |presence| {
                presence.tracks.entry(track).or_insert(By::Match);
                if dwelt {
                    // From here on a camera tells when they leave, sooner and better than the time of the hold.
                    presence.shown = Shown::Seen;
                }
            }));
            self.settle_questions(look, customer, events);
            return;
        }
        if !dwelt {
            return;
        }
        // A suggestion about this very face is answered by the match, or one about the customer on another camera.
        let asked = |wanted: &dyn Fn(&Question) -> bool| self.questions.iter().position(wanted);
        let suggested = asked(&|q| q.is_about(counter, track)).or_else(|| asked(&|q| q.asks_for(counter, customer)));
        let (visit, tracks) = match suggested.map(|index| self.questions.remove(index)) {
            Some(question) => (question.visit, question.tracks),
            None => (VisitId(mint()), BTreeSet::new()),
        };
        let mut presence = Presence::new(now);
        presence.tracks.extend(tracks.into_iter().chain([track]).map(|track| (track, By::Match)));
        self.settle_questions(look, customer, events);
        self.stays.push(Stay::new(visit, customer, counter, presence));
        events.push(VisitEvent::Opened { visit, counter: counter.clone(), customer, how: HowKnown::Match });
    }

    /// Takes away the questions that a match of this face with `customer` has answered.
    fn settle_questions(&mut self, look: Look<'_>, customer: CustomerId, events: &mut Vec<VisitEvent>) {
        let Look { counter, track, .. } = look;
        let settled = self.questions.extract_if(.., |q| q.asks_for(counter, customer) || q.is_about(counter, track));
        events.extend(settled.map(|question| question.left()));
    }

    fn maybe(
        &mut self,
        look: Look<'_>,
        candidates: &[Candidate],
        mint: &mut dyn FnMut() -> Uuid,
        events: &mut Vec<VisitEvent>,
    ) {
        let Look { now, counter, track, dwelt } = look;
        if self.is_given(look) {
            return;
        }
        // Every candidate is asked about, so that a refused one stays refused while seen.
        let refused: Vec<bool> = candidates.iter().map(|c| self.is_refused(look, c.customer)).collect();
        if refused.contains(&true) {
            return;
        }
        let candidates: Vec<CustomerId> = candidates.iter().map(|c| c.customer).collect();
        let Some(best) = candidates.first().copied() else { return };
        if self.is_done_with(look, best) {
            return;
        }
        self.take_from_others(look, Some(best));
        // Their best candidate is already here: another camera's, or a worse look of the same face.
        let here = self.stays.iter_mut().filter(|stay| stay.customer == best).find_map(|stay| stay.at_mut(counter));
        if let Some(presence) = here {
            if presence.tracks.contains_key(&track) {
                presence.see(now);
            }
            return;
        }
        if let Some(asked) = self.questions.iter_mut().find(|q| q.asks_for(counter, best) || q.is_about(counter, track))
        {
            asked.tracks.insert(track);
            asked.seen_at = asked.seen_at.max(now);
            return;
        }
        if dwelt {
            let (visit, counter, tracks) = (VisitId(mint()), counter.clone(), BTreeSet::from([track]));
            let question =
                Question { visit, counter: counter.clone(), candidates: candidates.clone(), tracks, seen_at: now };
            self.questions.push(question);
            events.push(VisitEvent::Suggested { visit, counter, candidates });
        }
    }

    /// A face without a name keeps a suggestion or a confirmed visit alive that it was given to. One that turned out
    /// to be nobody keeps no match alive any more.
    fn unnamed(&mut self, look: Look<'_>, is_nobody: bool) {
        if self.is_given(look) {
            return;
        }
        if is_nobody {
            self.take_from_others(look, None);
        }
        if let Some(asked) = self.questions.iter_mut().find(|q| q.is_about(look.counter, look.track)) {
            asked.seen_at = asked.seen_at.max(look.now);
        }
    }

    /// Whether a person has said whose face this is.
    fn is_given(&mut self, look: Look<'_>) -> bool {
        let here = self.stays.iter_mut().filter_map(|stay| stay.at_mut(look.counter));
        let given = here.into_iter().find(|presence| presence.tracks.get(&look.track) == Some(&By::Word));
        given.map(|presence| presence.see(look.now)).is_some()
    }

    /// A face that was matched with one customer and now is not: a more similar one may have taken the name. It is
    /// theirs no more; who keeps their card is whoever is matched now.
    fn take_from_others(&mut self, look: Look<'_>, now_of: Option<CustomerId>) {
        for stay in self.stays.iter_mut().filter(|stay| Some(stay.customer) != now_of) {
            if let Some(presence) = stay.at_mut(look.counter) {
                presence.tracks.retain(|track, by| *track != look.track || *by == By::Word);
            }
        }
    }

    fn is_refused(&mut self, look: Look<'_>, customer: CustomerId) -> bool {
        self.refused.retain(|r| look.now.since(r.seen_at) < REFUSAL);
        let refusal = self.refused.iter_mut().find(|r| r.customer == customer && r.counter == *look.counter);
        refusal.map(|r| r.seen_at = r.seen_at.max(look.now)).is_some()
    }
}

#[cfg(test)]
mod tests;
