//! A simulated month of two stores at one CRM: they enrol, greet, correct and erase at random, and some answers are lost.
//! At its end each person is one contact, each visit is on it once, of the erased nothing is left of that box, and what
//! contacts are told equals a count of both boxes' visits.
//!
//! SNOVA_MONTH_DAYS and SNOVA_MONTH_PEOPLE make it longer (`make month`), SNOVA_MONTH_SEED another one; single rules are
//! `crm_identity`'s.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]
#![allow(clippy::print_stdout, reason = "the figures are the report of a long run")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crm::road::Road;
use crm::server::Hits;
use crm::{FakeContact, Fault};
use jiff::{SignedDuration, Timestamp};
use snova::clock::Clock;
use snova::customer::{CustomerId, Verdict, VisitId};

const STORES: [&str; 2] = ["shop-7", "shop-8"];
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const MEN: [&str; 6] = ["Пётр", "Николай", "Тарас", "Олег", "Артём", "Михаил"];
const WOMEN: [&str; 6] = ["Мария", "Ольга", "Леся", "Анна", "Полина", "Вера"];
const FATHERS: [&str; 5] = ["Сергеев", "Павлов", "Андреев", "Иванов", "Борисов"];
const FAMILIES: [&str; 7] = ["Орлов", "Соколов", "Лебедев", "Воронов", "Голубев", "Дроздов", "Чижов"];

/// A small generator of the test's own: the same month each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }
}

struct Person {
    name: String,
    phone: String,
    /// Where they may be enrolled.
    shops: Vec<usize>,
}

/// Shared ones first, the first ten of them five couples on one phone; then those of one store alone.
fn people(shared: usize, own: usize) -> Vec<Person> {
    let person = |number: usize| {
        let (woman, couple) = (number % 2 == 1, number < 10);
        let place = number / 2;
        let (given, ending, a) = if woman { (WOMEN, "на", "а") } else { (MEN, "ич", "") };
        let family = FAMILIES[place / given.len() % FAMILIES.len()];
        let father = FATHERS[(place + usize::from(woman)) % FATHERS.len()];
        Person {
            name: format!("{} {father}{ending} {family}{a}", given[place % given.len()]),
            phone: format!("+7912{:07}", if couple { place } else { 1000 + number }),
            shops: if number < shared { vec![0, 1] } else { vec![number % 2] },
        }
    };
    (0..shared + own).map(person).collect()
}

struct Seen {
    shop: usize,
    id: VisitId,
    person: usize,
    customer: CustomerId,
    opened_at: Timestamp,
    void: bool,
}

struct Month {
    shops: Vec<Road>,
    people: Vec<Person>,
    enrolled: BTreeMap<(usize, usize), CustomerId>,
    dead: Vec<CustomerId>,
    visits: Vec<Seen>,
    dice: Dice,
    erasures: usize,
    corrections: usize,
}

impl Month {
    async fn begin(vendor: &str, shared: usize, own: usize, seed: u64) -> Self {
        let crm = crm::vendor(vendor);
        let told = crm.lock().unwrap().told_config();
        let config =
            |config: String| format!("{}\n{told}", config.replacen("[crm]", "[crm]\ncreate_contacts = true", 1));
        let first = Road::with(crm, config).await;
        let second = Road::beside(&first);
        let mut shops = vec![first, second];
        for (shop, name) in shops.iter_mut().zip(STORES) {
            shop.settings.common.shop = name.to_owned();
            shop.restart();
        }
        let people = people(shared, own);
        // Every other one is known to the company already; of a couple the husband.
        for person in people.iter().step_by(2) {
            let parts: Vec<&str> = person.name.split(' ').collect();
            let typed = format!("8 ({}) {}", &person.phone[2..5], &person.phone[5..]);
            let contact = FakeContact::named(parts[0], parts[1], parts[2], &typed);
            let now = shops[0].now();
            shops[0].server.crm.lock().unwrap().add_contact(contact, now);
        }
        let (enrolled, visits) = (BTreeMap::new(), Vec::new());
        Self { shops, people, enrolled, dead: Vec::new(), visits, dice: Dice(seed), erasures: 0, corrections: 0 }
    }

    fn now(&self) -> Timestamp {
        self.shops[0].now()
    }

    fn pass(&self, time: Duration) {
        self.shops[0].clock.advance(time);
    }

    fn enrol(&mut self) {
        let person = self.dice.below(self.people.len());
        for shop in self.people[person].shops.clone() {
            // Often in both stores within the same minutes. In one store a phone is one customer's.
            let of = &self.people[person];
            let taken = self.enrolled.keys().any(|(at, who)| *at == shop && self.people[*who].phone == of.phone);
            if !taken && !self.dice.one_in(3) {
                let customer = self.shops[shop].enrol_named(&of.name, &of.phone);
                self.enrolled.insert((shop, person), customer);
            }
        }
    }

    fn visit(&mut self) {
        if self.enrolled.is_empty() {
            return;
        }
        let chosen = self.dice.below(self.enrolled.len());
        let (&(shop, person), &customer) = self.enrolled.iter().nth(chosen).unwrap();
        let id = self.shops[shop].visit(customer, "till-1");
        let opened_at = self.shops[shop].store.visit(id).unwrap().unwrap().record.opened_at.at;
        self.visits.push(Seen { shop, id, person, customer, opened_at, void: false });
    }

    fn correct(&mut self) {
        let recent = self.visits.len().min(60);
        if recent == 0 {
            return;
        }
        let place = self.visits.len() - 1 - self.dice.below(recent);
        let (shop, person) = (self.visits[place].shop, self.visits[place].person);
        let is_there = self.enrolled.get(&(shop, person)) == Some(&self.visits[place].customer);
        if self.visits[place].void || !is_there {
            return;
        }
        let others: Vec<(usize, CustomerId)> = self
            .enrolled
            .iter()
            .filter(|((at, who), _)| *at == shop && *who != person)
            .map(|((_, who), c)| (*who, *c))
            .collect();
        let road = &self.shops[shop];
        let (now, today) = (road.clock.wall(), road.today());
        let seen = &mut self.visits[place];
        if self.dice.one_in(2) || others.is_empty() {
            road.store.answer_visit(seen.id, Verdict::No, now, today).unwrap();
            seen.void = true;
        } else {
            let (person, customer) = others[self.dice.below(others.len())];
            road.store.answer_visit(seen.id, Verdict::Other(customer), now, today).unwrap();
            let (shop, id, opened_at) = (seen.shop, seen.id, seen.opened_at);
            seen.void = true;
            self.visits.push(Seen { shop, id, person, customer, opened_at, void: false });
        }
        self.corrections += 1;
    }

    fn erase(&mut self) {
        if self.enrolled.is_empty() {
            return;
        }
        let chosen = self.dice.below(self.enrolled.len());
        let (&(shop, person), &customer) = self.enrolled.iter().nth(chosen).unwrap();
        let road = &self.shops[shop];
        road.store.erase(customer, road.clock.wall()).unwrap();
        self.enrolled.remove(&(shop, person));
        self.visits.retain(|seen| seen.customer != customer);
        self.dead.push(customer);
        self.erasures += 1;
    }

    async fn live(&mut self, days: usize) {
        for _ in 0..days {
            for _ in 0..60 {
                match self.dice.below(100) {
                    0..15 => self.enrol(),
                    15..21 => self.correct(),
                    21..23 => self.erase(),
                    _ => self.visit(),
                }
                if self.dice.one_in(25) {
                    let place = self.dice.below(4);
                    self.shops[0].server.plan(Fault::SilentAfter, Hits::After(place), 1);
                }
                for shop in 0..2 {
                    for _ in 0..self.dice.below(9) {
                        self.shops[shop].step().await;
                    }
                }
                let minutes = self.dice.below(14) as u64;
                self.pass(Duration::from_secs(60 * minutes + 7));
            }
            // The night.
            for shop in &mut self.shops {
                shop.idle(5 * HOUR).await;
            }
        }
        self.shops[0].server.calm();
        for _ in 0..3 {
            for shop in &mut self.shops {
                shop.work(2 * DAY).await;
                shop.idle(2 * HOUR).await;
            }
        }
    }

    /// The contact of each person that a box knows: one, however many boxes.
    fn contacts(&self, said: &str) -> BTreeMap<usize, String> {
        let all = self.shops[0].server.crm.lock().unwrap().all_contacts();
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let known: BTreeSet<usize> = self.enrolled.keys().map(|(_, person)| *person).collect();
        let mut of = BTreeMap::new();
        for (number, person) in self.people.iter().enumerate() {
            let given = person.name.split(' ').next().unwrap();
            let same = |there: &FakeContact| {
                there.given.starts_with(given) && digits(&there.phone).ends_with(&person.phone[2..])
            };
            let found: Vec<&String> = all.iter().filter(|(_, there)| same(there)).map(|(id, _)| id).collect();
            assert!(found.len() <= 1, "{said}: person {number} is {} contacts: {found:?}", found.len());
            if known.contains(&number) {
                of.insert(
                    number,
                    (*found.first().unwrap_or_else(|| panic!("{said}: person {number} is nobody"))).clone(),
                );
            }
        }
        of
    }

    fn assert_true(&self, said: &str) {
        let of = self.contacts(said);
        let standing = self.shops[0].in_crm();
        let mut there: Vec<(i64, String, bool)> = standing
            .iter()
            .filter(|record| !record.erased)
            .map(|record| (record.opened_at.unwrap().as_second(), record.contact.clone(), record.void))
            .collect();
        let mut wanted: Vec<(i64, String, bool)> =
            self.visits.iter().map(|seen| (seen.opened_at.as_second(), of[&seen.person].clone(), seen.void)).collect();
        // A visit that was taken back before it left was never told.
        let told: BTreeSet<_> = there.iter().cloned().collect();
        wanted.retain(|visit| !visit.2 || told.contains(visit));
        there.sort();
        wanted.sort();
        assert_eq!(there, wanted, "{said}: every visit once, on its person's contact");
        let crm = self.shops[0].server.crm.lock().unwrap();
        let marks: Vec<String> = crm.all_contacts().into_iter().map(|(_, contact)| contact.external_id).collect();
        for customer in &self.dead {
            let [word, id] = snova::crm::Mark::words(*customer);
            assert!(
                !marks.iter().any(|mark| mark.contains(&word) || mark.contains(&id)),
                "{said}: an erased one's word"
            );
        }
        for ((shop, person), customer) in &self.enrolled {
            let contact = crm.contact(&of[person]).unwrap();
            let word = &snova::crm::Mark::words(*customer)[0];
            assert!(contact.external_id.contains(word.as_str()), "{said}: person {person} bears no word of {shop}");
        }
        let now = self.now();
        for (person, contact) in &of {
            self.assert_told(said, *person, &crm.told(contact), now);
        }
    }

    /// What stands on a contact, against a count over both boxes' visits that is made here.
    fn assert_told(&self, said: &str, person: usize, told: &snova::crm::Told, now: Timestamp) {
        let live: Vec<&Seen> = self.visits.iter().filter(|seen| seen.person == person && !seen.void).collect();
        let since = |days: i64| now.checked_sub(SignedDuration::from_hours(24 * days)).unwrap();
        let count = |days| live.iter().filter(|seen| seen.opened_at > since(days)).count() as u32;
        let second = |at: Option<Timestamp>| at.map(Timestamp::as_second);
        let times: Vec<Timestamp> = live.iter().map(|seen| seen.opened_at).collect();
        let counted = (
            second(times.iter().min().copied()),
            second(times.iter().max().copied()),
            Some(count(30)),
            Some(count(90)),
        );
        let stands = (second(told.first_visit), second(told.last_visit), told.visits_30, told.visits_90);
        assert_eq!(stands, counted, "{said}: person {person}");
        let mut stores: BTreeMap<&str, (usize, Timestamp)> = BTreeMap::new();
        for seen in live.iter().filter(|seen| seen.opened_at > since(90)) {
            let entry = stores.entry(STORES[seen.shop]).or_insert((0, seen.opened_at));
            *entry = (entry.0 + 1, entry.1.max(seen.opened_at));
        }
        let home = stores.into_iter().max_by_key(|(_, rank)| *rank).map(|(store, _)| store.to_owned());
        assert_eq!(told.home_store, home, "{said}: person {person}'s store");
    }
}

async fn a_month(vendor: &str) {
    let number = |name: &str, usual: usize| std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap());
    let (days, people) = (number("SNOVA_MONTH_DAYS", 3), number("SNOVA_MONTH_PEOPLE", 12));
    let seed = number("SNOVA_MONTH_SEED", 7) as u64;
    let mut month = Month::begin(vendor, people, people, seed).await;
    month.live(days).await;
    let (visits, contacts) = (month.visits.len(), month.shops[0].server.crm.lock().unwrap().contacts());
    println!(
        "{vendor}: SNOVA_MONTH_SEED={seed}, {days} days, {} enrolled, {visits} visits, {} corrections, {} erasures, {contacts} contacts",
        month.enrolled.len(),
        month.corrections,
        month.erasures
    );
    month.assert_true(vendor);
}

macro_rules! for_each_vendor {
    ($($name:ident: $vendor:literal,)*) => {
        $(#[tokio::test]
        async fn $name() {
            a_month($vendor).await;
        })*
    };
}

for_each_vendor! {
    a_month_at_amocrm: "amocrm",
    a_month_at_bitrix24: "bitrix24",
    a_month_at_bitrix24_without_a_smart_process: "bitrix24-comments",
    a_month_at_creatio: "creatio",
    a_month_at_dynamics: "dynamics",
    a_month_at_salesforce: "salesforce",
    a_month_at_sugarcrm: "sugarcrm",
    a_month_at_sugarcrm_as_a_user: "sugarcrm-user",
    a_month_at_suitecrm: "suitecrm",
    a_month_at_suitecrm_v4_1: "suitecrm-legacy",
}
