//! One visit as long as it is not over: at which counters its customer is, or until when they may come back.
//!
//! What makes them come and go is in `super`; here it is only kept that no other state can be written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Resumed, VisitEvent};
use crate::clock::Monotonic;
use crate::customer::{CustomerId, HowKnown, TrackId, VisitId};
use crate::face::CounterId;

/// Why a track is taken for a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The system matched it, and may take that back.
    Match,
    /// A person said whose face it is; their word holds while the track lives.
    Word,
}

pub(super) type Tracks = BTreeMap<TrackId, By>;

/// What keeps somebody on a counter's screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Being seen.
    Seen,
    /// Until then their card, having been entered, seen or not.
    Held { until: Monotonic },
    /// Nothing: the cashier is done with them, and they have not gone yet.
    Done,
}

/// A customer at one counter.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    pub seen_at: Monotonic,
    /// Faces that are taken for theirs, on any camera of the counter.
    pub tracks: Tracks,
    pub shown: Shown,
}

impl Presence {
    pub fn new(now: Monotonic) -> Self {
        Self { seen_at: now, tracks: Tracks::new(), shown: Shown::Seen }
    }

    pub fn is_shown(&self) -> bool {
        self.shown != Shown::Done
    }

    /// A frame may be older than what was done meanwhile.
    pub fn see(&mut self, now: Monotonic) {
        self.seen_at = self.seen_at.max(now);
    }

    /// When they will have left if nobody sees them any more.
    fn ends_at(&self, absence: Duration) -> Monotonic {
        let unseen = self.seen_at + absence;
        match self.shown {
            Shown::Held { until } => unseen.max(until),
            Shown::Seen | Shown::Done => unseen,
        }
    }
}

#[derive(Clone, Debug)]
enum Phase {
    /// At these counters; never none.
    Here(BTreeMap<CounterId, Presence>),
    /// Nowhere; coming back before then goes on with the visit.
    Gone { until: Monotonic },
}

/// A recorded visit that is not over.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    pub visit: VisitId,
    pub customer: CustomerId,
    /// The counter that the record bears.
    pub opened_at: CounterId,
    /// Whether a card named them, not only a face.
    pub entered: bool,
    /// Counters where a person or a card said that it is they.
    pub vouched: BTreeSet<CounterId>,
    phase: Phase,
}

impl Stay {
    pub fn new(visit: VisitId, customer: CustomerId, counter: &CounterId, presence: Presence) -> Self {
        Self {
            visit,
            customer,
            opened_at: counter.clone(),
            entered: false,
            vouched: BTreeSet::new(),
            phase: Phase::Here(BTreeMap::from([(counter.clone(), presence)])),
        }
    }

    pub fn resumed(resumed: Resumed, until: Monotonic) -> Self {
        let Resumed { visit, counter, customer, how, entered, left: _ } = resumed;
        let vouched =
            if entered || how != HowKnown::Match { BTreeSet::from([counter.clone()]) } else { BTreeSet::new() };
        Self { visit, customer, opened_at: counter, entered, vouched, phase: Phase::Gone { until } }
    }

    /// Until when somebody who is gone may come back.
    pub fn gone_until(&self) -> Option<Monotonic> {
        match self.phase {
            Phase::Here(_) => None,
            Phase::Gone { until } => Some(until),
        }
    }

    /// Nobody may come back to this one any more.
    pub fn end_at(&mut self, now: Monotonic) {
        if let Phase::Gone { until } = &mut self.phase {
            *until = (*until).min(now);
        }
    }

    pub fn at(&self, counter: &CounterId) -> Option<&Presence> {
        match &self.phase {
            Phase::Here(here) => here.get(counter),
            Phase::Gone { .. } => None,
        }
    }

    pub fn at_mut(&mut self, counter: &CounterId) -> Option<&mut Presence> {
        match &mut self.phase {
            Phase::Here(here) => here.get_mut(counter),
            Phase::Gone { .. } => None,
        }
    }

    pub fn is_shown_at(&self, counter: &CounterId) -> bool {
        self.at(counter).is_some_and(Presence::is_shown)
    }

    /// All counters where they are, with how.
    pub fn presences(&self) -> impl Iterator<Item = (&CounterId, &Presence)> {
        let here = match &self.phase {
            Phase::Here(here) => Some(here),
            Phase::Gone { .. } => None,
        };
        here.into_iter().flatten()
    }

    pub fn presences_mut(&mut self) -> impl Iterator<Item = (&CounterId, &mut Presence)> {
        let here = match &mut self.phase {
            Phase::Here(here) => Some(here),
            Phase::Gone { .. } => None,
        };
        here.into_iter().flatten()
    }

    pub fn counters(&self) -> Vec<CounterId> {
        self.presences().map(|(counter, _)| counter.clone()).collect()
    }

    /// When anybody last saw them; `None` when they are gone.
    pub fn seen_at(&self) -> Option<Monotonic> {
        self.presences().map(|(_, presence)| presence.seen_at).max()
    }

    /// They are at `counter` now, and `how` says more of it. Gives the event where its screen did not show them.
    pub fn come(
        &mut self,
        now: Monotonic,
        counter: &CounterId,
        entered: bool,
        how: impl FnOnce(&mut Presence),
    ) -> Option<VisitEvent> {
        let (mut here, reopens) = match std::mem::replace(&mut self.phase, Phase::Gone { until: now }) {
            Phase::Here(here) => (here, false),
            Phase::Gone { .. } => (BTreeMap::new(), true),
        };
        let was_shown = here.get(counter).is_some_and(Presence::is_shown);
        let presence = here.entry(counter.clone()).or_insert_with(|| Presence::new(now));
        if !was_shown {
            presence.shown = Shown::Seen;
        }
        presence.see(now);
        how(presence);
        self.phase = Phase::Here(here);
        let (visit, customer, counter) = (self.visit, self.customer, counter.clone());
        (!was_shown).then_some(VisitEvent::Returned { visit, counter, customer, entered, reopens })
    }

    /// They left `counter` at the time `at`. Gives the event, unless its screen had been cleared and they are at
    /// another counter still. From the last leaving on they may come back for `merge`.
    pub fn leave(&mut self, at: Monotonic, counter: &CounterId, merge: Duration) -> Option<VisitEvent> {
        let Phase::Here(here) = &mut self.phase else { return None };
        let presence = here.remove(counter)?;
        let last = here.is_empty();
        if last {
            self.phase = Phase::Gone { until: at + merge };
        }
        let left = VisitEvent::Left { visit: self.visit, counter: counter.clone(), recorded: true, last };
        (last || presence.is_shown()).then_some(left)
    }

    /// The first counter that they have left by `now`, unseen for `absence`, with the time when they did.
    pub fn left_first(&self, now: Monotonic, absence: Duration) -> Option<(Monotonic, CounterId)> {
        let ends = self.presences().map(|(counter, presence)| (presence.ends_at(absence), counter));
        ends.filter(|(at, _)| *at <= now).min().map(|(at, counter)| (at, counter.clone()))
    }

    /// Whether the visit is true even if it was not they who stood at `counter`: somebody else vouches for it, or
    /// another counter sees them now and it was not opened here.
    pub fn stands_without(&self, counter: &CounterId) -> bool {
        let elsewhere = self.presences().any(|(other, _)| other != counter);
        self.vouched.iter().any(|other| other != counter) || (elsewhere && self.opened_at != *counter)
    }
}

/// Somebody at a counter whom the cashier should name. Nothing of it is recorded.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub visit: VisitId,
    pub counter: CounterId,
    /// Best first, never empty.
    pub candidates: Vec<CustomerId>,
    pub tracks: BTreeSet<TrackId>,
    pub seen_at: Monotonic,
}

impl Question {
    /// Whether its likeliest answer is `customer`.
    pub fn asks_for(&self, counter: &CounterId, customer: CustomerId) -> bool {
        self.counter == *counter && self.candidates.first() == Some(&customer)
    }

    pub fn is_about(&self, counter: &CounterId, track: TrackId) -> bool {
        self.counter == *counter && self.tracks.contains(&track)
    }

    /// It goes from the screen unanswered, or answered by another visit.
    pub fn left(&self) -> VisitEvent {
        VisitEvent::Left { visit: self.visit, counter: self.counter.clone(), recorded: false, last: true }
    }

    /// The faces it asked about, after a person has said whose they are.
    pub fn answered_tracks(&self) -> Tracks {
        self.tracks.iter().map(|track| (*track, By::Word)).collect()
    }
}
