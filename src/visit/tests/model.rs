//! The rules over random days: sightings, cards, answers, silences and restarts at three tills.
//!
//! What is checked is what the screens and the rows are told, against what the tills hold.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    /// The faces before a till, for so many frames.
    Show {
        at: u8,
        frames: u8,
        faces: Vec<(u64, Decision)>,
    },
    Enter {
        at: u8,
        who: u128,
    },
    /// About one of the visits and questions that ever were.
    Say {
        at: Option<u8>,
        of: prop::sample::Index,
        verdict: Verdict,
    },
    /// Time goes by; in a silence nothing is asked of the visits meanwhile.
    Wait {
        ms: u64,
        silent: bool,
    },
    Forget {
        who: u128,
    },
    CloseCounter {
        at: u8,
    },
    /// By order, or by a crash, which tells nobody anything.
    Restart {
        in_order: bool,
        down_ms: u64,
    },
}

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        5 => (1..=3u128).prop_map(is),
        2 => (1..=3u128).prop_map(|n| maybe(&[n])),
        1 => (1..=3u128).prop_map(|n| maybe(&[n, n % 3 + 1])),
        1 => Just(Decision::NoMatch),
        1 => Just(Decision::Undecided(None)),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Yes),
        Just(Verdict::No),
        Just(Verdict::Done),
        (1..=3u128).prop_map(|n| Verdict::Other(customer(n))),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let at = 1..=3u8;
    let waits = prop::sample::select(vec![100, 1_000, 2_600, 31_000, 121_000, 295_000, 298_000, 400_000]);
    let faces = prop::collection::vec((1..=4u64, decision()), 1..=2);
    prop_oneof![
        8 => (at.clone(), 1..=8u8, faces).prop_map(|(at, frames, faces)| Act::Show { at, frames, faces }),
        2 => (at.clone(), 1..=3u128).prop_map(|(at, who)| Act::Enter { at, who }),
        4 => (prop::option::of(at.clone()), any::<prop::sample::Index>(), verdict())
            .prop_map(|(at, of, verdict)| Act::Say { at, of, verdict }),
        3 => (waits.clone(), any::<bool>()).prop_map(|(ms, silent)| Act::Wait { ms, silent }),
        1 => (1..=3u128).prop_map(|who| Act::Forget { who }),
        1 => at.prop_map(|at| Act::CloseCounter { at }),
        1 => (any::<bool>(), waits).prop_map(|(in_order, down_ms)| Act::Restart { in_order, down_ms }),
    ]
}

/// A visit as screens and rows know it.
struct Row {
    customer: CustomerId,
    counter: CounterId,
    how: HowKnown,
    shown: BTreeSet<CounterId>,
    /// Since when the row is closed, in the time of all processes.
    gone_since: Option<u64>,
    over: bool,
}

struct Day {
    shop: Shop,
    /// When the process began.
    began_ms: u64,
    rows: BTreeMap<VisitId, Row>,
    questions: BTreeMap<VisitId, CounterId>,
    told_of: Vec<VisitId>,
}

impl Day {
    fn now(&self) -> u64 {
        self.began_ms + self.shop.now_ms
    }

    /// The row of a visit that is not over.
    fn row(&mut self, visit: VisitId) -> &mut Row {
        let row = self.rows.get_mut(&visit).expect("an event about a visit that was opened");
        assert!(!row.over, "an event about a visit that is over");
        row
    }

    fn nobody_else_has(&self, visit: VisitId, customer: CustomerId) {
        let open = self.rows.iter().find(|(id, row)| **id != visit && !row.over && row.customer == customer);
        assert!(open.is_none(), "two open visits of one customer");
    }

    fn tell(&mut self, events: Vec<VisitEvent>) {
        for event in events {
            self.tell_one(event);
        }
    }

    fn tell_one(&mut self, event: VisitEvent) {
        let now = self.now();
        match event {
            VisitEvent::Suggested { visit, counter, candidates } => {
                assert!(!candidates.is_empty() && !self.told_of.contains(&visit), "asked once");
                self.told_of.push(visit);
                self.questions.insert(visit, counter);
            }
            VisitEvent::Opened { visit, counter, customer, how } => {
                let was_asked = self.questions.remove(&visit);
                assert!(was_asked.is_none_or(|at| at == counter));
                assert!(!self.rows.contains_key(&visit), "opened once");
                self.nobody_else_has(visit, customer);
                self.told_of.push(visit);
                let shown = BTreeSet::from([counter.clone()]);
                self.rows.insert(visit, Row { customer, counter, how, shown, gone_since: None, over: false });
            }
            VisitEvent::Returned { visit, counter, customer, reopens, .. } => {
                let row = self.row(visit);
                assert_eq!(row.customer, customer);
                assert_eq!(row.gone_since.is_some(), reopens, "who has not gone does not reopen the row");
                assert!(row.gone_since.is_none_or(|since| now - since < 300_000), "after the merge window");
                row.gone_since = None;
                assert!(row.shown.insert(counter), "shown twice at one counter");
            }
            VisitEvent::Held { visit, counter } => assert!(self.row(visit).shown.contains(&counter)),
            VisitEvent::Confirmed { visit, .. } => drop(self.row(visit).shown.len()),
            VisitEvent::Rejected { visit, counter, recorded: false } => {
                assert_eq!(self.questions.remove(&visit), Some(counter));
            }
            VisitEvent::Rejected { visit, counter, recorded: true } => {
                let row = self.row(visit);
                row.shown.remove(&counter);
                assert!(row.shown.is_empty(), "a void visit is on no screen");
                row.over = true;
            }
            VisitEvent::Reassigned { visit, counter, customer } => {
                self.nobody_else_has(visit, customer);
                let row = self.row(visit);
                assert!(row.shown.iter().all(|at| *at == counter), "only this till knows them by the new name");
                row.customer = customer;
            }
            VisitEvent::Left { visit, counter, recorded: false, last } => match self.rows.get_mut(&visit) {
                Some(row) => {
                    assert!(row.shown.remove(&counter) && row.shown.is_empty() == last);
                    row.over = last;
                }
                None => assert_eq!((self.questions.remove(&visit), last), (Some(counter), true)),
            },
            VisitEvent::Left { visit, counter, recorded: true, last } => {
                let row = self.row(visit);
                assert!(row.gone_since.is_none(), "who is gone does not leave");
                let was_shown = row.shown.remove(&counter);
                assert!(was_shown || last, "only the last leaving is told of whom no screen shows");
                if last {
                    assert!(row.shown.is_empty(), "somebody still shows them");
                    row.gone_since = Some(now);
                }
            }
            VisitEvent::Closed { visit, counter } => {
                let row = self.row(visit);
                assert!(row.gone_since.is_some(), "closed only after the last leaving");
                assert_eq!(row.counter, counter, "the record's counter");
                row.over = true;
            }
        }
    }

    /// What was told is what is.
    fn check(&self) {
        let open: Vec<_> = self.rows.iter().filter(|(_, row)| !row.over).collect();
        assert_eq!(open.len(), self.shop.visits.stays.len());
        for (visit, row) in open {
            let stay = self.shop.visits.stays.iter().find(|stay| stay.visit == *visit).expect("the visit is open");
            let shown: BTreeSet<_> = stay.presences().filter(|(_, p)| p.is_shown()).map(|(c, _)| c.clone()).collect();
            assert_eq!(row.shown, shown, "the screens show who is there");
            assert_eq!(row.customer, stay.customer);
            assert_eq!(
                row.gone_since.is_some(),
                stay.counters().is_empty(),
                "closed if and only if nobody is anywhere"
            );
        }
        let asked: BTreeMap<_, _> = self.shop.visits.questions.iter().map(|q| (q.visit, q.counter.clone())).collect();
        assert_eq!(self.questions, asked);
        let present: BTreeSet<VisitId> = self.shop.visits.present().into_iter().map(|(visit, _)| visit).collect();
        let unclosed = self.rows.iter().filter(|(_, row)| !row.over && row.gone_since.is_none());
        assert_eq!(present, unclosed.map(|(visit, _)| *visit).collect());
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Show { at, frames, faces } => {
                // A camera's tracks are its own.
                let of_till = |(track, decision)| (u64::from(at) * 10 + track, decision);
                let faces: Vec<(u64, Decision)> = faces.into_iter().map(of_till).collect();
                for _ in 0..frames {
                    let events = self.shop.frame(&till(at), &faces);
                    self.tell(events);
                    self.shop.now_ms += 100;
                }
            }
            Act::Enter { at, who } => {
                let (visit, events) = self.shop.enter_at(at, who);
                self.tell(events);
                assert!(self.row(visit).shown.contains(&till(at)), "whose card was given is shown");
            }
            Act::Say { at, of, verdict } => {
                if self.told_of.is_empty() {
                    return;
                }
                let visit = *of.get(&self.told_of);
                let is_there = self.questions.contains_key(&visit) || self.rows.get(&visit).is_some_and(|r| !r.over);
                let events = self.shop.answer(at, visit, verdict);
                assert_eq!(events.is_some(), is_there, "an answer finds what is there");
                self.tell(events.unwrap_or_default());
            }
            Act::Wait { ms, silent } => {
                let step = if silent { ms } else { 1_000.min(ms) };
                for _ in 0..ms / step {
                    self.shop.now_ms += step;
                    if !silent {
                        let events = self.shop.visits.pass(self.shop.now());
                        self.tell(events);
                    }
                }
            }
            Act::Forget { who } => {
                let events = self.shop.visits.forget(customer(who));
                self.tell(events);
                let theirs = self.rows.values_mut().filter(|row| row.customer == customer(who));
                theirs.for_each(|row| row.over = true);
            }
            Act::CloseCounter { at } => {
                let events = self.shop.visits.close_counter(self.shop.now(), &till(at));
                self.tell(events);
                assert!(self.rows.values().all(|row| row.over || !row.shown.contains(&till(at))));
            }
            Act::Restart { in_order, down_ms } => self.restart(in_order, down_ms),
        }
        self.check();
    }

    fn restart(&mut self, in_order: bool, down_ms: u64) {
        let (now, merge) = (self.shop.now(), Duration::from_secs(300));
        let seen: BTreeMap<VisitId, Monotonic> = self.shop.visits.present().into_iter().collect();
        if in_order {
            let events = self.shop.visits.suspend(now);
            self.tell(events);
            assert!(self.rows.values().all(|row| row.over || row.gone_since.is_some()), "everybody has left");
            assert!(self.questions.is_empty());
        }
        let stopped = self.now();
        let entered = |visit: &VisitId| self.shop.visits.is_entered(*visit);
        let entered: BTreeSet<VisitId> = self.rows.keys().copied().filter(entered).collect();
        self.began_ms = stopped + down_ms;
        self.shop = Shop { minted: self.shop.minted, ..Shop::new() };
        self.questions.clear();
        for (visit, row) in self.rows.iter_mut().filter(|(_, row)| !row.over) {
            // A crash closes no row: it is closed afterwards, as of when they were last seen.
            let since = *row.gone_since.get_or_insert_with(|| stopped - now.since(seen[visit]).as_millis() as u64);
            row.shown.clear();
            let left = merge.saturating_sub(Duration::from_millis(stopped + down_ms - since));
            let (customer, counter, how) = (row.customer, row.counter.clone(), row.how);
            let resumed = Resumed { visit: *visit, counter, customer, how, entered: entered.contains(visit), left };
            self.shop.visits.take_up(Monotonic::default(), resumed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn screens_and_rows_are_told_what_is_whatever_the_day_brings(acts in prop::collection::vec(act(), 1..80)) {
        let shop = Shop::new();
        let (rows, questions) = (BTreeMap::new(), BTreeMap::new());
        let mut day = Day { shop, began_ms: 0, rows, questions, told_of: Vec::new() };
        for act in acts {
            day.act(act);
        }
        // Everybody goes home: every visit has one end.
        day.act(Act::Wait { ms: 1_000_000, silent: false });
        assert!(day.rows.values().all(|row| row.over) && day.shop.visits.stays.is_empty());
    }
}
