//! Random lives of a box against a model in plain maps: enrol, visit, close, reopen, answer, send, withdraw, erase,
//! restart. After each step the store and the model tell the same; amendments are `store_visits`'s.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use snova::customer::{CustomerId, Verdict, VisitId};
use snova::store::{NewCustomer, Store, StoreError, VisitVerdict};

#[path = "support/store_fixture.rs"]
mod store_fixture;
use store_fixture::*;

/// Customers and visits are named by a number modulo those that there are or were.
#[derive(Clone, Debug)]
enum Step {
    Enrol {
        with_visit_records: bool,
    },
    Open {
        customer: usize,
    },
    OpenAgain {
        visit: usize,
    },
    Close {
        visit: usize,
    },
    Reopen {
        visit: usize,
    },
    Confirm {
        visit: usize,
    },
    Reject {
        visit: usize,
    },
    Move {
        visit: usize,
        to: usize,
    },
    /// The courier sends what may leave; every third event is refused by the CRM.
    Send {
        sent: usize,
    },
    Withdraw {
        customer: usize,
    },
    Renew {
        customer: usize,
        with_visit_records: bool,
    },
    Erase {
        customer: usize,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..1000usize;
    prop_oneof![
        2 => any::<bool>().prop_map(|with_visit_records| Step::Enrol { with_visit_records }),
        6 => n.clone().prop_map(|customer| Step::Open { customer }),
        1 => n.clone().prop_map(|visit| Step::OpenAgain { visit }),
        5 => n.clone().prop_map(|visit| Step::Close { visit }),
        2 => n.clone().prop_map(|visit| Step::Reopen { visit }),
        2 => n.clone().prop_map(|visit| Step::Confirm { visit }),
        3 => n.clone().prop_map(|visit| Step::Reject { visit }),
        3 => (n.clone(), n.clone()).prop_map(|(visit, to)| Step::Move { visit, to }),
        3 => n.clone().prop_map(|sent| Step::Send { sent }),
        1 => n.clone().prop_map(|customer| Step::Withdraw { customer }),
        1 => (n.clone(), any::<bool>())
            .prop_map(|(customer, with_visit_records)| Step::Renew { customer, with_visit_records }),
        1 => n.prop_map(|customer| Step::Erase { customer }),
        1 => Just(Step::Restart),
    ]
}

struct Person {
    recognised: bool,
    visit_records: bool,
}

#[derive(Clone)]
struct Stay {
    customer: CustomerId,
    opened: i64,
    closed: bool,
    verdict: VisitVerdict,
}

/// What must be true, in the simplest form it can be said in.
#[derive(Default)]
struct Model {
    people: BTreeMap<CustomerId, Person>,
    stays: BTreeMap<VisitId, Stay>,
    outbox: Vec<Event>,
    /// Everybody and every visit there ever was, the gone included.
    all_people: Vec<CustomerId>,
    all_visits: Vec<VisitId>,
}

impl Model {
    fn customer(&self, n: usize) -> Option<CustomerId> {
        self.all_people.get(n % self.all_people.len().max(1)).copied()
    }

    fn visit(&self, n: usize) -> Option<VisitId> {
        self.all_visits.get(n % self.all_visits.len().max(1)).copied()
    }

    fn put(&mut self, visit: VisitId, customer: CustomerId, after: Option<i64>) {
        if self.people[&customer].recognised && self.people[&customer].visit_records {
            self.outbox.push(("visit".to_owned(), customer, Some(visit), "new".to_owned(), after));
        }
    }

    fn answer(&mut self, id: VisitId, customer: CustomerId, verdict: VisitVerdict, now: i64) {
        let before = self.stays[&id].clone();
        let counts_for = |who, verdict| (verdict != VisitVerdict::Rejected).then_some(who);
        let stay = self.stays.get_mut(&id).expect("looked up before");
        (stay.customer, stay.verdict) = (customer, verdict);
        if counts_for(before.customer, before.verdict) == counts_for(customer, verdict) {
            return;
        }
        if before.verdict != VisitVerdict::Rejected {
            let latest = self.outbox.iter().rposition(|event| event.0 == "visit" && event.2 == Some(id));
            match latest.map(|at| (at, self.outbox[at].clone())) {
                Some((at, event)) if matches!(&*event.3, "new" | "held") => drop(self.outbox.remove(at)),
                Some((at, event)) => {
                    if event.3 == "dead" {
                        self.outbox[at].3 = "withdrawn".to_owned();
                    }
                    self.outbox.push(("correction".to_owned(), event.1, Some(id), "new".to_owned(), Some(now)));
                }
                None => {}
            }
        }
        if verdict != VisitVerdict::Rejected {
            self.put(id, customer, before.closed.then_some(now));
        }
    }

    fn hold_unsent(&mut self, customer: CustomerId) {
        let unsent = |e: &&mut Event| e.1 == customer && e.0 == "visit" && e.3 == "new";
        self.outbox.iter_mut().filter(unsent).for_each(|event| event.3 = "held".to_owned());
    }
}

/// Does one step to both; panics when the store's answer is not the model's.
fn take(step: &Step, device: &mut Device, model: &mut Model, now: i64) {
    let store = &device.store;
    match *step {
        Step::Enrol { with_visit_records } => {
            let consent = if with_visit_records { consent() } else { recognition_only() };
            let given = NewCustomer { consent, ..customer(&format!("Иван {now}")) };
            store.add_customer(&given, &[template(now.unsigned_abs())], TODAY).expect("live");
            model.people.insert(given.id, Person { recognised: true, visit_records: with_visit_records });
            model.all_people.push(given.id);
        }
        Step::Open { customer } => {
            let Some(id) = model.customer(customer) else { return };
            let visit = visit_of(id, now);
            let outcome = store.open_visit(&visit, TODAY);
            match model.people.get(&id) {
                None => assert!(matches!(outcome, Err(StoreError::UnknownCustomer(_))), "{outcome:?}"),
                Some(person) if !person.recognised => {
                    assert!(matches!(outcome, Err(StoreError::Consent { .. })), "{outcome:?}");
                }
                Some(_) => {
                    outcome.expect("live");
                    let stay = Stay { customer: id, opened: now, closed: false, verdict: VisitVerdict::Unanswered };
                    model.stays.insert(visit.id, stay);
                    model.all_visits.push(visit.id);
                    model.put(visit.id, id, None);
                }
            }
        }
        Step::OpenAgain { visit } => {
            let Some((id, stay)) = model.visit(visit).and_then(|id| Some((id, model.stays.get(&id)?))) else { return };
            let record = snova::store::VisitRecord { id, ..visit_of(stay.customer, stay.opened) };
            store.open_visit(&record, TODAY).expect("the same visit");
        }
        Step::Close { visit } => {
            let Some(id) = model.visit(visit) else { return };
            let outcome = store.close_visit(id, at(now), at(now + 60).at);
            let Some(stay) = model.stays.get_mut(&id) else {
                return assert!(matches!(outcome, Err(StoreError::UnknownVisit(_))), "{outcome:?}");
            };
            outcome.expect("recorded");
            if !stay.closed {
                stay.closed = true;
                let waiting = |e: &&mut Event| e.0 == "visit" && e.2 == Some(id) && e.4.is_none();
                model.outbox.iter_mut().filter(waiting).for_each(|event| event.4 = Some(now + 60));
            }
        }
        Step::Reopen { visit } => {
            let Some(id) = model.visit(visit) else { return };
            let outcome = store.reopen_visit(id);
            let Some(stay) = model.stays.get_mut(&id) else {
                return assert!(matches!(outcome, Err(StoreError::UnknownVisit(_))), "{outcome:?}");
            };
            let left = model.outbox.iter().any(|e| e.2 == Some(id) && e.3 != "new" && e.3 != "held");
            assert_eq!(outcome.expect("recorded"), !left);
            if !left {
                stay.closed = false;
                let mine = |e: &&mut Event| e.0 == "visit" && e.2 == Some(id);
                model.outbox.iter_mut().filter(mine).for_each(|event| event.4 = None);
            }
        }
        Step::Confirm { visit } | Step::Reject { visit } | Step::Move { visit, .. } => {
            let Some(id) = model.visit(visit) else { return };
            let current = model.stays.get(&id).cloned();
            let answer = match *step {
                Step::Confirm { .. } => Verdict::Yes,
                Step::Reject { .. } => Verdict::No,
                Step::Move { to, .. } => Verdict::Other(model.customer(to).expect("whose visit is it?")),
                _ => unreachable!("matched above"),
            };
            let outcome = store.answer_visit(id, answer, at(now), TODAY);
            let Some(stay) = current else {
                return assert!(matches!(outcome, Err(StoreError::UnknownVisit(_))), "{outcome:?}");
            };
            let moved = |verdict| if verdict == VisitVerdict::Other { verdict } else { VisitVerdict::Confirmed };
            let (to, verdict) = match answer {
                Verdict::No => (stay.customer, VisitVerdict::Rejected),
                Verdict::Other(to) if to != stay.customer => (to, VisitVerdict::Other),
                Verdict::Yes | Verdict::Other(_) => (stay.customer, moved(stay.verdict)),
                Verdict::Done => (stay.customer, stay.verdict),
            };
            match model.people.get(&to) {
                None => assert!(matches!(outcome, Err(StoreError::UnknownCustomer(_))), "{outcome:?}"),
                Some(person) if to != stay.customer && !person.recognised => {
                    assert!(matches!(outcome, Err(StoreError::Consent { .. })), "{outcome:?}");
                }
                Some(_) => {
                    outcome.expect("recorded and live");
                    model.answer(id, to, verdict, now);
                }
            }
        }
        Step::Send { sent } => {
            let state = if sent % 3 == 0 { "dead" } else { "done" };
            let ready = |e: &Event| e.3 == "new" && e.4.is_some_and(|after| after <= now);
            let Some(place) = model.outbox.iter().position(ready) else { return };
            model.outbox[place].3 = state.to_owned();
            let seq = "SELECT seq FROM outbox WHERE kind <> 'amendment' ORDER BY seq LIMIT 1 OFFSET ?1";
            let seq: i64 = raw(device.dir.path()).query_row(seq, [place as i64], |row| row.get(0)).expect("readable");
            play(device.dir.path(), seq, state, 1);
        }
        Step::Withdraw { customer } => {
            let Some(id) = model.customer(customer) else { return };
            let outcome = store.withdraw_consent(id, at(now));
            let Some(person) = model.people.get_mut(&id) else {
                return assert!(matches!(outcome, Err(StoreError::UnknownCustomer(_))), "{outcome:?}");
            };
            outcome.expect("enrolled");
            if std::mem::take(&mut person.recognised) {
                model.hold_unsent(id);
            }
        }
        Step::Renew { customer, with_visit_records } => {
            let Some(id) = model.customer(customer) else { return };
            let given = if with_visit_records { consent() } else { recognition_only() };
            let outcome = store.renew_consent(id, &given, at(now), TODAY);
            let Some(person) = model.people.get_mut(&id) else {
                return assert!(matches!(outcome, Err(StoreError::UnknownCustomer(_))), "{outcome:?}");
            };
            outcome.expect("live");
            *person = Person { recognised: true, visit_records: with_visit_records };
            if !with_visit_records {
                model.hold_unsent(id);
            }
        }
        Step::Erase { customer } => {
            let Some(id) = model.customer(customer) else { return };
            let is_amendment = |event: &&Event| event.0 == "amendment" && event.1 == id;
            let amendments = outbox(device.dir.path()).iter().filter(is_amendment).count();
            let outcome = store.erase(id, at(now));
            if model.people.remove(&id).is_none() {
                return assert!(matches!(outcome, Err(StoreError::UnknownCustomer(_))), "{outcome:?}");
            }
            let erasure = outcome.expect("enrolled");
            let (stays, events) = (model.stays.len(), model.outbox.len());
            model.stays.retain(|_, stay| stay.customer != id);
            let was_told = model.outbox.iter().any(|e| e.1 == id && e.0 == "visit" && !matches!(&*e.3, "new" | "held"));
            model.outbox.retain(|event| event.1 != id);
            let gone = (1, stays - model.stays.len(), events - model.outbox.len() + amendments, true);
            assert_eq!((erasure.templates, erasure.visits, erasure.events, erasure.scrubbed), gone);
            // A CRM that never heard of somebody is not told that they are gone.
            if was_told {
                model.outbox.push(("erasure".to_owned(), id, None, "new".to_owned(), Some(now)));
            }
        }
        Step::Restart => device.store = open(device.dir.path()),
    }
}

fn same(store: &Store, dir: &std::path::Path, model: &Model) {
    let told: Vec<Event> = outbox(dir).into_iter().filter(|event| event.0 != "amendment").collect();
    assert_eq!(told, model.outbox);
    let recognised: Vec<CustomerId> =
        model.people.iter().filter(|(_, person)| person.recognised).map(|(id, _)| *id).collect();
    let searched: Vec<CustomerId> =
        store.templates(PACK, TODAY).expect("readable").into_iter().map(|(id, _)| id).collect();
    assert_eq!(searched, recognised);
    let customers = store.customers().expect("readable");
    assert_eq!(customers.len(), model.people.len());
    for customer in customers {
        let counts = |stay: &&Stay| stay.customer == customer.id && stay.closed;
        let counted: Vec<i64> = model
            .stays
            .values()
            .filter(counts)
            .filter(|stay| stay.verdict != VisitVerdict::Rejected)
            .map(|stay| stay.opened)
            .collect();
        assert_eq!(customer.card.visits as usize, counted.len());
        assert_eq!(customer.card.last_visit, counted.iter().max().map(|opened| at(*opened).at));
    }
    for id in &model.all_visits {
        let read = store.visit(*id).expect("readable");
        let facts = read.map(|v| (v.record.customer, v.closed_at.is_some(), v.verdict));
        assert_eq!(facts, model.stays.get(id).map(|s| (s.customer, s.closed, s.verdict)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_store_tells_what_a_plain_model_tells(steps in prop::collection::vec(step(), 1..60)) {
        let mut device = fresh();
        let mut model = Model::default();
        for (i, step) in steps.iter().enumerate() {
            take(step, &mut device, &mut model, 100 * (i as i64 + 1));
            same(&device.store, device.dir.path(), &model);
        }
        device.store.verify().expect("nothing is damaged");
    }
}
