//! What the company's people and administrators do in the portal: cards, merges, fields.

use jiff::Timestamp;
use serde_json::{Value, json};
use snova::crm::{ConsentWord, Told};

use super::php::{many, number, text};
use super::{CONTACTS, FakeBitrix24, VISITS};
use crate::crm::FakeContact;

/// (key, name, type) of what is told on a contact, and on a visit.
const TOLD: [(&str, &str, &str); 9] = [
    ("first_visit", "SNOVA_FIRST", "datetime"),
    ("last_visit", "SNOVA_LAST", "datetime"),
    ("late_since", "SNOVA_LATE", "date"),
    ("consent", "SNOVA_CONSENT", "string"),
    ("consent_until", "SNOVA_UNTIL", "date"),
    ("source", "SNOVA_SOURCE", "string"),
    ("visits_30", "SNOVA_V30", "integer"),
    ("visits_90", "SNOVA_V90", "integer"),
    ("home_store", "SNOVA_HOME", "string"),
];
const RECORD: [(&str, &str, &str); 7] = [
    ("store", "SNOVA_STORE", "string"),
    ("counter", "SNOVA_COUNTER", "string"),
    ("how", "SNOVA_HOW", "string"),
    ("served_by", "SNOVA_SERVED", "string"),
    ("receipt", "SNOVA_RECEIPT", "string"),
    ("sum", "SNOVA_SUM", "double"),
    ("greeting", "SNOVA_GREETING", "string"),
];

impl FakeBitrix24 {
    pub(super) fn edit(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
        let mut contact = self.card(id).unwrap();
        change(&mut contact);
        fn place(words: &mut Vec<String>, word: &str) -> usize {
            words.iter().position(|own| own == word).unwrap_or_else(|| {
                words.push(word.to_owned());
                words.len() - 1
            })
        }
        let owner = if contact.owner.is_empty() { 1 } else { place(&mut self.owners, &contact.owner) + 1 };
        let tier = if contact.tier.is_empty() {
            Value::Null
        } else {
            (place(&mut self.items.tiers, &contact.tier) + 80).into()
        };
        let reached = [("PHONE", &contact.phone), ("EMAIL", &contact.email)];
        let reached = reached.into_iter().filter(|(_, value)| !value.is_empty());
        let fm: Value =
            reached.map(|(kind, value)| json!({ "typeId": kind, "valueType": "WORK", "value": value })).collect();
        let originator = if contact.external_id.is_empty() { "" } else { "snova" };
        let fields = json!({
            "name": contact.given, "secondName": contact.patronymic, "lastName": contact.family, "fm": fm, "originatorId": originator,
            "originId": contact.external_id, "ufCrmTier": tier, "assignedById": owner, "comments": contact.notes, "ufCrmOffer": contact.offer,
            "birthdate": contact.birthday, "ufCrmVisits": contact.visits,
        });
        self.items.change(CONTACTS, &id.into(), &fields, self.quirks, now).unwrap();
    }

    pub(super) fn card(&self, id: &str) -> Option<FakeContact> {
        let row = self.items.get(CONTACTS, &id.into()).ok()?;
        let own = |name: &str| text(&row[name]);
        let reached =
            |kind: &str| many(&row["fm"]).iter().find(|own| own["typeId"] == kind).map(|own| text(&own["value"]));
        let word = |words: &[String], at: Option<i64>| {
            at.and_then(|at| words.get(usize::try_from(at).ok()?)).cloned().unwrap_or_default()
        };
        let owner = row["assignedById"].as_i64().filter(|id| *id > 1).map(|id| id - 1);
        Some(FakeContact {
            external_id: if own("ufCrmSnova").is_empty() { own("originId") } else { own("ufCrmSnova") },
            given: own("name"),
            patronymic: own("secondName"),
            family: own("lastName"),
            phone: reached("PHONE").unwrap_or_default(),
            email: reached("EMAIL").unwrap_or_default(),
            tier: word(&self.items.tiers, row["ufCrmTier"].as_i64().map(|id| id - 80)),
            owner: word(&self.owners, owner),
            notes: own("comments"),
            offer: own("ufCrmOffer"),
            birthday: own("birthdate").chars().take(10).collect(),
            visits: number(&row["ufCrmVisits"]).unwrap_or(0) as u32,
        })
    }

    /// Elements and comments move to the survivor, which keeps its own values, its phones and the loser's, and, unless it
    /// forgets, the loser's ids where it has none.
    pub(super) fn merge(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        let from = self.items.get(CONTACTS, &loser.into()).unwrap();
        let to = self.items.get(CONTACTS, &survivor.into()).unwrap();
        let reached = [many(&to["fm"]), many(&from["fm"])].concat();
        let mut fields = json!({ "fm": reached });
        for name in ["originatorId", "originId", "ufCrmSnova"] {
            if to[name].is_null() && !self.quirks.merge_forgets {
                fields[name] = from[name].clone();
            }
        }
        self.items.change(CONTACTS, &survivor.into(), &fields, self.quirks, now).unwrap();
        for row in self.items.tables.get_mut(&VISITS).into_iter().flatten().filter(|row| row["contactId"] == from["id"])
        {
            row.insert("contactId".to_owned(), to["id"].clone());
            row.insert("contactIds".to_owned(), json!([to["id"]]));
        }
        for row in self.items.comments.iter_mut().filter(|row| row["ENTITY_ID"] == loser) {
            row.insert("ENTITY_ID".to_owned(), survivor.into());
        }
        self.items.delete(CONTACTS, &loser.into()).unwrap();
    }

    pub(super) fn told_of(&self, id: &str) -> Told {
        let row = self.items.get(CONTACTS, &id.into()).unwrap();
        let value = |key: &str| {
            let name = TOLD.iter().find(|field| field.0 == key).unwrap().1;
            row.iter().find(|(own, _)| own.to_lowercase() == format!("ufcrm{}", name.replace('_', "").to_lowercase()))
        };
        let word = |key: &str| value(key).map(|(_, value)| text(value)).filter(|text| !text.is_empty());
        let at = |key: &str| word(key).map(|at| at.parse::<Timestamp>().unwrap());
        let day = |key: &str| word(key).map(|day| day[..10].parse().unwrap());
        let count = |key: &str| word(key).map(|count| count.parse().unwrap());
        Told {
            first_visit: at("first_visit"),
            last_visit: at("last_visit"),
            late_since: day("late_since"),
            consent: word("consent").map(|word| ConsentWord::read(&word).unwrap()),
            consent_until: day("consent_until"),
            source: word("source"),
            visits_30: count("visits_30"),
            visits_90: count("visits_90"),
            home_store: word("home_store"),
        }
    }

    pub(super) fn fields_of_told(&mut self) -> String {
        let comments_only = self.quirks.comments_only;
        let mut section = |name: &str, type_id: i64, prefix: &str, fields: &[(&str, &str, &str)]| {
            let mut lines = format!("[crm.bitrix24.{name}]\n");
            for (key, field, kind) in fields {
                // Made by an earlier box already, it stays.
                let _ = self.items.make_field(type_id, &format!("{prefix}{field}"), kind);
                let full = if type_id == CONTACTS { format!("UF_CRM_{field}") } else { format!("{prefix}{field}") };
                lines += &format!("{key} = \"{full}\"\n");
            }
            lines
        };
        let told = section("told", CONTACTS, "", &TOLD);
        told + &section("record", VISITS, "UF_CRM_5_", if comments_only { &[] } else { &RECORD })
    }
}
