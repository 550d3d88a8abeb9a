//! Tables to which an administrator adds columns, and those that Snova can fill.

use serde_json::Value;

use super::{Entity, Kind, Row};

/// The tables of a server, to which an administrator may add columns.
#[derive(Clone)]
pub struct Tables(Vec<&'static Entity>);

impl Tables {
    pub fn of(entities: &'static [Entity]) -> Self {
        Self(entities.iter().collect())
    }

    pub fn find(&self, is: impl Fn(&Entity) -> bool) -> Option<&'static Entity> {
        self.0.iter().copied().find(|entity| is(entity))
    }

    /// A test's server does not live long: the new description is left behind.
    pub fn add(&mut self, table: &str, column: &str, kind: Kind) {
        let own = self.0.iter_mut().find(|entity| entity.name == table).unwrap();
        if own.kind(column).is_none() {
            let column: &'static str = Box::leak(column.to_owned().into_boxed_str());
            let columns: Vec<_> = own.columns.iter().copied().chain([(column, kind)]).collect();
            *own = Box::leak(Box::new(Entity { columns: Box::leak(columns.into_boxed_slice()), ..**own }));
        }
    }

    /// The columns that Snova can fill, under the names that `named` gives, and the configuration with them.
    pub fn add_told(
        &mut self,
        section: &str,
        [contacts, visits]: [&str; 2],
        day: Kind,
        named: &dyn Fn(&str) -> String,
    ) -> String {
        let mut text = String::new();
        for (part, table, columns) in [("told", contacts, TOLD), ("record", visits, RECORD)] {
            text += &format!("[crm.{section}.{part}]\n");
            for (key, kind) in columns {
                self.add(table, &named(key), if *kind == Kind::Date { day } else { *kind });
                text += &format!("{key} = \"{}\"\n", named(key));
            }
        }
        text
    }
}

const TOLD: &[(&str, Kind)] = &[
    ("first_visit", Kind::Time),
    ("last_visit", Kind::Time),
    ("late_since", Kind::Date),
    ("consent", Kind::Text),
    ("consent_until", Kind::Date),
    ("source", Kind::Text),
    ("visits_30", Kind::Whole),
    ("visits_90", Kind::Whole),
    ("home_store", Kind::Text),
];
const RECORD: &[(&str, Kind)] = &[
    ("store", Kind::Text),
    ("counter", Kind::Text),
    ("how", Kind::Text),
    ("served_by", Kind::Text),
    ("receipt", Kind::Text),
    ("sum", Kind::Decimal),
    ("greeting", Kind::Text),
];

/// What stands of it in a contact's row.
pub fn told(row: &Row, named: &dyn Fn(&str) -> String) -> snova::crm::Told {
    use snova::crm::{ConsentWord, Told};
    let text = |key: &str| row.get(&named(key)).and_then(Value::as_str).filter(|text| !text.is_empty());
    let number = |key: &str| row.get(&named(key)).and_then(Value::as_u64).map(|number| number as u32);
    let day = |key: &str| text(key).and_then(|text| text[..10].parse().ok());
    Told {
        first_visit: text("first_visit").and_then(|text| text.parse().ok()),
        last_visit: text("last_visit").and_then(|text| text.parse().ok()),
        late_since: day("late_since"),
        consent: text("consent").map(|word| if word == "live" { ConsentWord::Live } else { ConsentWord::Ended }),
        consent_until: day("consent_until"),
        source: text("source").map(str::to_owned),
        visits_30: number("visits_30"),
        visits_90: number("visits_90"),
        home_store: text("home_store").map(str::to_owned),
    }
}
