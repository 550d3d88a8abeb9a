//! What SugarCRM and SuiteCRM have in common: contacts and meetings as rows of texts, links between them, a bin.
//!
//! How they are asked for, and how each of them refuses, is in their own files.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use snova::crm::{ConsentWord, Told};

use super::{FakeContact, FakeVisit};

/// A row as the database has it; a field that is not there is NULL.
pub type Bean = BTreeMap<String, String>;

pub const CONTACT: &[&str] = &[
    "id",
    "date_entered",
    "date_modified",
    "deleted",
    "first_name",
    "last_name",
    "name",
    "description",
    "assigned_user_id",
    "assigned_user_name",
    "phone_mobile",
    "phone_work",
    "phone_home",
    "phone_other",
    "phone_fax",
    "email1",
    "birthdate",
    "title",
    "account_name",
    "lead_source",
    "snova_customer_c",
    "patronymic_c",
    "loyalty_tier_c",
    "offer_c",
    "visits_c",
];
pub const MEETING: &[&str] = &[
    "id",
    "date_entered",
    "date_modified",
    "deleted",
    "name",
    "description",
    "status",
    "location",
    "assigned_user_id",
    "assigned_user_name",
    "date_start",
    "date_end",
    "duration_hours",
    "duration_minutes",
    "parent_type",
    "parent_id",
    "snova_visit_c",
];

/// What Snova writes on a contact beside its mark, and on a meeting, once the administrator has made the fields.
const TOLD: &[&str] = &[
    "snova_first_visit_c",
    "snova_last_visit_c",
    "snova_late_since_c",
    "snova_consent_c",
    "snova_consent_until_c",
    "snova_source_c",
    "snova_visits_30_c",
    "snova_visits_90_c",
    "snova_home_store_c",
];
const RECORD: &[&str] = &[
    "snova_store_c",
    "snova_counter_c",
    "snova_how_c",
    "snova_served_by_c",
    "snova_receipt_c",
    "snova_sum_c",
    "snova_greeting_c",
];

/// The rows of both modules.
#[derive(Default)]
pub struct Beans {
    rows: BTreeMap<&'static str, Vec<Bean>>,
    /// The administrator has made the fields of [`TOLD`] and [`RECORD`].
    has_told: bool,
    /// A merge takes the loser's mark along where the survivor has none; left to itself it does not.
    pub merge_keeps_mark: bool,
    /// A logic hook wants a field filled, and the user may not write meetings.
    pub demands: bool,
    pub no_right: bool,
    /// This contact goes into the bin while the next meeting is made.
    pub goes_meanwhile: Option<String>,
    /// Meetings and the contacts in whose lists they are.
    pub links: BTreeSet<(String, String)>,
    next_id: u64,
}

/// The module by the name that is asked for.
pub fn module(name: &str) -> Option<&'static str> {
    ["Contacts", "Meetings"].into_iter().find(|own| *own == name)
}

/// `2026-03-02 09:00:00`, in UTC.
pub fn sql_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The reverse: only that form is one.
pub fn read_sql_time(text: &str) -> Option<Timestamp> {
    let at = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// As texts are kept that people typed into a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#039;")
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#039;", "'").replace("&amp;", "&")
}

impl Beans {
    /// The fields of a module.
    pub fn fields(&self, module: &str) -> Vec<&'static str> {
        let (own, more) = if module == "Contacts" { (CONTACT, TOLD) } else { (MEETING, RECORD) };
        own.iter().chain(if self.has_told { more } else { &[] }).copied().collect()
    }

    /// Whether a row may be written at all.
    pub fn may_write(&self, module: &str) -> bool {
        !(self.no_right && module == "Meetings")
    }

    pub fn is_demanded(&self, module: &str) -> bool {
        self.demands && module == "Meetings"
    }

    /// The sections that name the fields, which are there from now on.
    pub fn told_config(&mut self, section: &str) -> String {
        self.has_told = true;
        let line = |name: &&str| {
            let key = name.trim_start_matches("snova_").trim_end_matches("_c");
            format!("{key} = \"{name}\"\n")
        };
        let part = |part: &str, names: &[&str]| {
            format!("[crm.{section}.{part}]\n{}", names.iter().map(line).collect::<String>())
        };
        part("told", TOLD) + &part("record", RECORD)
    }

    pub fn told(&self, id: &str) -> Told {
        let bean = self.any("Contacts", id).unwrap();
        let text = |key: &str| bean.get(&format!("snova_{key}_c")).filter(|text| !text.is_empty()).cloned();
        let time = |key: &str| text(key).map(|at| read_sql_time(&at).unwrap());
        Told {
            first_visit: time("first_visit"),
            last_visit: time("last_visit"),
            late_since: text("late_since").map(|date| date.parse().unwrap()),
            consent: text("consent").map(|word| match &*word {
                "live" => ConsentWord::Live,
                "ended" => ConsentWord::Ended,
                other => panic!("{other} is no word for a consent"),
            }),
            consent_until: text("consent_until").map(|date| date.parse().unwrap()),
            source: text("source"),
            visits_30: text("visits_30").map(|count| count.parse().unwrap()),
            visits_90: text("visits_90").map(|count| count.parse().unwrap()),
            home_store: text("home_store"),
        }
    }

    /// As the page for merging does it: what was linked with the loser is the survivor's, fields are the survivor's own.
    pub fn merge(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        let moved = self.links.iter().filter(|(_, contact)| contact == loser);
        let moved: Vec<_> = moved.map(|(meeting, _)| (meeting.clone(), survivor.to_owned())).collect();
        self.links.retain(|(_, contact)| contact != loser);
        self.links.extend(moved);
        for meeting in self.rows.get_mut("Meetings").into_iter().flatten() {
            if meeting.get("parent_id").is_some_and(|parent| parent == loser) {
                meeting.insert("parent_id".to_owned(), survivor.to_owned());
            }
        }
        let mark = self.get("Contacts", loser).and_then(|bean| bean.get("snova_customer_c").cloned());
        let has_own =
            self.get("Contacts", survivor).unwrap().get("snova_customer_c").is_some_and(|own| !own.is_empty());
        let kept = mark.filter(|_| self.merge_keeps_mark && !has_own);
        self.update(
            "Contacts",
            survivor,
            &kept.map(|mark| ("snova_customer_c".to_owned(), mark)).into_iter().collect(),
            now,
        );
        self.remove("Contacts", loser, now);
    }

    /// Puts a meeting into a contact's list, if both are there.
    pub fn tie(&mut self, meeting: &str, contact: &str) -> bool {
        let there = self.get("Meetings", meeting).is_some() && self.get("Contacts", contact).is_some();
        if there {
            self.links.insert((meeting.to_owned(), contact.to_owned()));
        }
        there
    }

    /// The meetings in a contact's list.
    pub fn meetings_of(&self, contact: &str) -> Vec<&Bean> {
        let own = self.links.iter().filter(|(_, of)| of == contact && self.get("Contacts", of).is_some());
        own.filter_map(|(meeting, _)| self.get("Meetings", meeting)).collect()
    }

    /// The contacts in whose lists a meeting is.
    pub fn contacts_of(&self, meeting: &str) -> Vec<&Bean> {
        let own = self.links.iter().filter(|(own, _)| own == meeting);
        own.filter_map(|(_, contact)| self.get("Contacts", contact)).collect()
    }

    pub fn all(&self, module: &str) -> &[Bean] {
        self.rows.get(module).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn live(&self, module: &str) -> impl Iterator<Item = &Bean> {
        self.all(module).iter().filter(|bean| bean["deleted"] == "0")
    }

    /// A row that is not in the bin.
    pub fn get(&self, module: &str, id: &str) -> Option<&Bean> {
        self.live(module).find(|bean| bean["id"] == id)
    }

    pub fn any(&self, module: &str, id: &str) -> Option<&Bean> {
        self.all(module).iter().find(|bean| bean["id"] == id)
    }

    pub fn get_mut(&mut self, module: &str, id: &str) -> Option<&mut Bean> {
        self.rows.get_mut(module)?.iter_mut().find(|bean| bean["id"] == id)
    }

    pub fn fresh_id(&mut self) -> String {
        self.next_id += 1;
        format!("5ca1ab1e-0000-4000-8000-{:012x}", self.next_id)
    }

    /// A new row; the caller has made sure that there is none with this id.
    pub fn insert(&mut self, module: &'static str, id: &str, now: Timestamp) {
        let mut bean = Bean::new();
        for (name, value) in [("id", id.to_owned()), ("deleted", "0".to_owned()), ("date_entered", sql_time(now))] {
            bean.insert(name.to_owned(), value);
        }
        bean.insert("date_modified".to_owned(), sql_time(now));
        self.rows.entry(module).or_default().push(bean);
        if let Some(contact) = self.goes_meanwhile.take_if(|_| module == "Meetings") {
            self.remove("Contacts", &contact, now);
        }
    }

    /// Writes known fields; an empty text stays one.
    pub fn update(&mut self, module: &str, id: &str, values: &Bean, now: Timestamp) {
        let known = self.fields(module);
        let Some(bean) = self.get_mut(module, id) else { return };
        for (name, value) in values.iter().filter(|(name, _)| known.contains(&name.as_str()) && *name != "id") {
            bean.insert(name.clone(), value.clone());
        }
        bean.insert("date_modified".to_owned(), sql_time(now));
    }

    pub fn remove(&mut self, module: &str, id: &str, now: Timestamp) {
        let bean = self.get_mut(module, id).unwrap();
        bean.insert("deleted".to_owned(), "1".to_owned());
        bean.insert("date_modified".to_owned(), sql_time(now));
    }

    /// The visits, each with the contact in whose list it is; `key` is the field that holds ours.
    pub fn visits(&self, key: &str) -> Vec<FakeVisit> {
        let visit = |bean: &Bean| FakeVisit {
            key: bean.get(key).cloned().unwrap_or_default(),
            contact: self
                .links
                .iter()
                .find(|(own, _)| *own == bean["id"])
                .map(|(_, of)| of.clone())
                .unwrap_or_default(),
            opened_at: bean.get("date_start").and_then(|at| read_sql_time(at)),
            void: bean.get("status").is_some_and(|status| status == "Not Held"),
            erased: bean["deleted"] == "1",
        };
        self.all("Meetings").iter().map(visit).collect()
    }

    /// A meeting whole, with the contacts in whose lists it is.
    pub fn raw(&self, id: &str) -> Option<String> {
        let bean = self.any("Meetings", id)?;
        let links: Vec<_> = self.links.iter().filter(|(own, _)| own == id).collect();
        Some(format!("{bean:?} {links:?}"))
    }

    /// Somebody else's meeting under that id.
    pub fn plant(&mut self, id: &str, contact: &str, now: Timestamp) {
        self.insert("Meetings", id, now);
        let values = [
            ("name", "Замер кухни"),
            ("description", "Просил перезвонить во вторник"),
            ("status", "Planned"),
            ("date_start", &*sql_time(now)),
            ("parent_id", contact),
        ];
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.update("Meetings", id, &values, now);
        self.links.insert((id.to_owned(), contact.to_owned()));
    }

    /// `typed` is how the vendor keeps what people type.
    pub fn change_contact(
        &mut self,
        id: &str,
        change: &dyn Fn(&mut FakeContact),
        typed: fn(&str) -> String,
        now: Timestamp,
    ) {
        let mut contact = self.contact(id).unwrap();
        change(&mut contact);
        let values = [
            ("snova_customer_c", contact.external_id),
            ("first_name", contact.given),
            ("patronymic_c", contact.patronymic),
            ("last_name", contact.family),
            ("phone_mobile", contact.phone),
            ("email1", contact.email),
            ("loyalty_tier_c", contact.tier),
            ("assigned_user_name", contact.owner),
            ("description", contact.notes),
            ("offer_c", contact.offer),
            ("birthdate", contact.birthday),
            ("visits_c", contact.visits.to_string()),
        ];
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), typed(&value))).collect();
        self.update("Contacts", id, &values, now);
    }

    pub fn contact(&self, id: &str) -> Option<FakeContact> {
        let bean = self.get("Contacts", id)?;
        let text = |name: &str| bean.get(name).map(|text| unescaped(text)).unwrap_or_default();
        Some(FakeContact {
            external_id: text("snova_customer_c"),
            given: text("first_name"),
            patronymic: text("patronymic_c"),
            family: text("last_name"),
            phone: text("phone_mobile"),
            email: text("email1"),
            tier: text("loyalty_tier_c"),
            owner: text("assigned_user_name"),
            notes: text("description"),
            offer: text("offer_c"),
            birthday: text("birthdate"),
            visits: text("visits_c").parse().unwrap_or(0),
        })
    }

    pub fn add_contact(&mut self, contact: &FakeContact, typed: fn(&str) -> String, now: Timestamp) -> String {
        let id = self.fresh_id();
        self.insert("Contacts", &id, now);
        self.change_contact(&id, &|there| *there = contact.clone(), typed, now);
        id
    }
}

/// What a fake of the family answers about its [`Beans`] alone; `$typed` is how the vendor keeps what people type.
macro_rules! of_its_beans {
    ($section:literal, $typed:path) => {
        fn throttled(&self) -> Answer {
            Answer::html(429, "<html><h1>429 Too Many Requests</h1></html>").with("retry-after", "5")
        }

        fn blocked(&self) -> Answer {
            Answer::html(403, "<html><h1>403 Forbidden</h1></html>")
        }

        fn add_contact(&mut self, contact: FakeContact, now: Timestamp) -> String {
            self.beans.add_contact(&contact, $typed, now)
        }

        fn change_contact(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
            self.beans.change_contact(id, change, $typed, now);
        }

        fn contact(&self, id: &str) -> Option<FakeContact> {
            self.beans.contact(id)
        }

        fn contacts(&self) -> usize {
            self.beans.live("Contacts").count()
        }

        fn all_contacts(&self) -> Vec<(String, FakeContact)> {
            let ids = self.beans.live("Contacts").map(|bean| bean["id"].clone());
            ids.map(|id| (id.clone(), self.beans.contact(&id).unwrap())).collect()
        }

        fn bin_contact(&mut self, id: &str, now: Timestamp) {
            self.beans.remove("Contacts", id, now);
        }

        fn merge_contacts(&mut self, loser: &str, survivor: &str, now: Timestamp) {
            self.beans.merge(loser, survivor, now);
        }

        fn demand_field(&mut self, on: bool) {
            self.beans.demands = on;
        }

        fn take_right(&mut self, taken: bool) {
            self.beans.no_right = taken;
        }

        fn told(&self, id: &str) -> snova::crm::Told {
            self.beans.told(id)
        }

        fn told_config(&mut self) -> String {
            self.beans.told_config($section)
        }

        fn heartbeats(&self) -> usize {
            0
        }
    };
}
pub(super) use of_its_beans;

/// SQL's LIKE: `%` stands for any run of characters, `_` for any one; case does not matter.
pub fn like(text: &str, pattern: &str) -> bool {
    fn matches(text: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|from| matches(&text[from..], rest)),
            Some((any, rest)) => {
                text.split_first().is_some_and(|(own, text)| (*any == '_' || own == any) && matches(text, rest))
            }
        }
    }
    let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    matches(&chars(text), &chars(pattern))
}
