//! A SuiteCRM by its older API v4_1: sessions, errors within 200, entries under ids of ours, questions in raw SQL.
//!
//! After what a 7.14 does and what the PyPI client sugarcrm expects. A key that is there already, and a quote that was
//! not escaped, get the same "Database failure"; an unknown id without `new_with_id` is echoed and written nowhere.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::beans::{Bean, Beans, escaped, like, module, of_its_beans, read_sql_time};
use super::{Answer, Asked, FakeContact, FakeCrm, FakeRecords, FakeVisit, POISON_TILL};

const ACCOUNT: &str = "snova";
const PASSWORD: &str = "suite-password-8a41";
const PASSWORD_MD5: &str = "ea279cbd66b177497cf91dc78215c8d4";

/// The tenant's memory.
#[derive(Default)]
pub struct FakeLegacySuite {
    pub beans: Beans,
    sessions: BTreeSet<String>,
    given: u64,
    /// Whether the database is in trouble: it can be read, and refuses everything new.
    pub read_only: bool,
    /// Saving a meeting with a contact does not put it into the contact's list.
    pub saves_no_tie: bool,
    /// Entries are shown without what is linked with them.
    pub hides_links: bool,
}

/// What a method comes to: an answer in JSON, or the database's page.
type Said = Result<Value, DatabaseFailure>;
struct DatabaseFailure;

fn error(name: &str, number: i64) -> Value {
    json!({ "name": name, "number": number, "description": "Ivan's request failed" })
}

/// Arguments by name; clients that send a list have them in the documented order.
fn named(method: &str, arguments: Value) -> Value {
    let names: &[&str] = match method {
        "login" => &["user_auth", "application_name", "name_value_list"],
        "get_available_modules" => &["session", "filter"],
        "get_module_fields" => &["session", "module_name", "fields"],
        "get_entry" => &["session", "module_name", "id", "select_fields", "link_name_to_fields_array", "track_view"],
        "get_entries" => &["session", "module_name", "ids", "select_fields", "link_name_to_fields_array", "track_view"],
        "get_entries_count" => &["session", "module_name", "query", "deleted"],
        "get_entry_list" => &[
            "session",
            "module_name",
            "query",
            "order_by",
            "offset",
            "select_fields",
            "link_name_to_fields_array",
            "max_results",
            "deleted",
            "favorites",
        ],
        "get_relationships" => &[
            "session",
            "module_name",
            "module_id",
            "link_field_name",
            "related_module_query",
            "related_fields",
            "related_module_link_name_to_fields_array",
            "deleted",
            "order_by",
            "offset",
            "limit",
        ],
        "set_entry" => &["session", "module_name", "name_value_list"],
        "set_entries" => &["session", "module_name", "name_value_lists"],
        "set_relationship" => {
            &["session", "module_name", "module_id", "link_field_name", "related_ids", "name_value_list", "delete"]
        }
        _ => &["session"],
    };
    match arguments {
        Value::Array(all) => Value::Object(names.iter().map(|name| (*name).to_owned()).zip(all).collect()),
        named => named,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

impl FakeLegacySuite {
    fn log_in(&mut self, arguments: &Value) -> Value {
        let auth = &arguments["user_auth"];
        if auth["user_name"] != ACCOUNT || auth["password"] != PASSWORD_MD5 {
            return error("Invalid Login", 10);
        }
        self.given += 1;
        let session = format!("sess{:022}", self.given);
        self.sessions.insert(session.clone());
        json!({ "id": session, "module_name": "Users", "name_value_list": { "user_id": { "name": "user_id", "value": "u-snova" } } })
    }

    fn shown(&self, name: &str, bean: &Bean, wanted: &Value) -> Value {
        let wanted: Vec<String> = wanted.as_array().into_iter().flatten().map(text).collect();
        let mut values = Map::new();
        // Fields that are not there are passed over.
        for field in self.beans.fields(name).iter().filter(|f| wanted.is_empty() || wanted.iter().any(|w| w == **f)) {
            let value = bean.get(*field).cloned().unwrap_or_default();
            values.insert((*field).to_owned(), json!({ "name": field, "value": value }));
        }
        json!({ "id": bean["id"], "module_name": name, "name_value_list": values })
    }

    fn entries(&self, name: &str, ids: &[Value], arguments: &Value) -> Value {
        let wanted = &arguments["select_fields"];
        let links = &arguments["link_name_to_fields_array"];
        let one = |id: &Value| match self.beans.get(name, &text(id)) {
            Some(bean) => self.shown(name, bean, wanted),
            None => json!({
                "id": id, "module_name": name, "name_value_list": [
                    { "name": "warning", "value": "Access to this object is denied since it has been deleted or does not exist" },
                    { "name": "deleted", "value": "1" },
                ],
            }),
        };
        // One list of links for each row that is there.
        let linked = |id: &Value| {
            let all = self.beans.contacts_of(&self.beans.get(name, &text(id))?["id"]).into_iter();
            let all: Vec<Value> = all.map(|bean| json!({ "id": { "name": "id", "value": bean["id"] } })).collect();
            Some(json!([{ "name": "contacts", "records": all }]))
        };
        let asked = links.as_array().is_some_and(|links| !links.is_empty()) && !self.hides_links;
        let linked: Vec<Value> = ids.iter().filter(|_| asked).filter_map(linked).collect();
        json!({ "entry_list": ids.iter().map(one).collect::<Vec<_>>(), "relationship_list": linked })
    }

    fn list(&self, name: &str, arguments: &Value) -> Said {
        let condition = sql::parse(&text(&arguments["query"])).ok_or(DatabaseFailure)?;
        if !condition.is_known(&self.beans.fields(name)) {
            return Err(DatabaseFailure);
        }
        let deleted = if text(&arguments["deleted"]) == "1" { "1" } else { "0" };
        let mut found: Vec<&Bean> =
            self.beans.all(name).iter().filter(|bean| bean["deleted"] == deleted && condition.holds(bean)).collect();
        let order = text(&arguments["order_by"]);
        let field = order.rsplit('.').next().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned();
        found.sort_by_key(|bean| bean.get(&field).cloned().unwrap_or_default());
        let number = |key: &str| text(&arguments[key]).parse::<usize>().unwrap_or(0);
        let most = if number("max_results") == 0 { 20 } else { number("max_results") };
        let page: Vec<Value> = found
            .iter()
            .skip(number("offset"))
            .take(most)
            .map(|bean| self.shown(name, bean, &arguments["select_fields"]))
            .collect();
        Ok(json!({
            "result_count": page.len(), "total_count": found.len().to_string(),
            "next_offset": number("offset") + page.len(), "entry_list": page, "relationship_list": [],
        }))
    }

    /// The id, which says nothing of whether anything was written.
    fn set(&mut self, name: &'static str, row: &Value, now: Timestamp) -> Result<String, DatabaseFailure> {
        let mut values = Bean::new();
        // A list of names and values, or an object of them.
        match row {
            Value::Object(all) => values
                .extend(all.iter().map(|(field, value)| (field.clone(), text(value.get("value").unwrap_or(value))))),
            _ => {
                values.extend(row.as_array().into_iter().flatten().map(|one| (text(&one["name"]), text(&one["value"]))))
            }
        }
        let with_id = values.remove("new_with_id").is_some_and(|value| value == "true" || value == "1");
        let given = values.get("id").filter(|id| !id.is_empty()).cloned();
        values
            .retain(|field, value| !((field == "date_start" || field == "date_end") && read_sql_time(value).is_none()));
        if values.get("name").is_some_and(|name| name.contains(POISON_TILL)) || self.read_only {
            return Err(DatabaseFailure);
        }
        if self.beans.is_demanded(name) {
            return Err(DatabaseFailure);
        }
        let id = match given {
            Some(id) if with_id && self.beans.any(name, &id).is_some() => return Err(DatabaseFailure),
            // Silent loss.
            Some(id) if !with_id && self.beans.get(name, &id).is_none() => return Ok(id),
            Some(id) => id,
            None => self.beans.fresh_id(),
        };
        if self.beans.get(name, &id).is_none() {
            self.beans.insert(name, &id, now);
        }
        self.beans.update(name, &id, &values, now);
        if let Some(contact) = values.get("contact_id").filter(|_| !self.saves_no_tie) {
            self.beans.tie(&id, contact);
        }
        Ok(id)
    }

    /// "Created" is said of whatever is asked for, there or not.
    fn relate(&mut self, arguments: &Value) -> Value {
        let mut created = 0;
        for related in arguments["related_ids"].as_array().into_iter().flatten().map(text) {
            let own = text(&arguments["module_id"]);
            let is_contact = arguments["module_name"] == "Contacts";
            let (meeting, contact) = if is_contact { (related, own) } else { (own, related) };
            self.beans.tie(&meeting, &contact);
            created += 1;
        }
        json!({ "created": created, "failed": 0, "deleted": 0 })
    }

    fn related(&self, name: &str, arguments: &Value) -> Value {
        let id = text(&arguments["module_id"]);
        let (other, all) = match name {
            "Contacts" => ("Meetings", self.beans.meetings_of(&id)),
            _ => ("Contacts", self.beans.contacts_of(&id)),
        };
        let number = |key: &str| text(&arguments[key]).parse::<usize>().ok();
        let page = all.iter().skip(number("offset").unwrap_or(0)).take(number("limit").unwrap_or(usize::MAX));
        let page: Vec<Value> = page.map(|bean| self.shown(other, bean, &arguments["related_fields"])).collect();
        json!({ "entry_list": page, "relationship_list": [] })
    }

    fn call(&mut self, method: &str, arguments: &Value, now: Timestamp) -> Said {
        if method == "login" {
            return Ok(self.log_in(arguments));
        }
        if !self.sessions.contains(&text(&arguments["session"])) {
            return Ok(error("Invalid Session ID", 11));
        }
        if method == "get_available_modules" {
            let one = |name: &str| {
                let acls = ["edit", "delete", "list", "view", "import", "export"];
                let acls = acls.map(|action| json!({ "action": action, "access": true }));
                json!({ "module_key": name, "module_label": name, "favorite_enabled": false, "acls": acls })
            };
            let all = ["Contacts", "Meetings"].map(one);
            return Ok(json!({ "modules": all }));
        }
        let Some(name) = module(&text(&arguments["module_name"])) else {
            return Ok(error("Module Does Not Exist", 20));
        };
        if method.starts_with("set_") && !self.beans.may_write(name) {
            return Ok(error("Access Denied", 40));
        }
        match method {
            "get_module_fields" => {
                let fields = self.beans.fields(name);
                let all: Map<_, _> =
                    fields.iter().map(|f| ((*f).to_owned(), json!({ "name": f, "type": "varchar" }))).collect();
                Ok(
                    json!({ "module_name": name, "table_name": name.to_lowercase(), "module_fields": all, "link_fields": [] }),
                )
            }
            "get_entry" => Ok(self.entries(name, &[arguments["id"].clone()], arguments)),
            "get_entries" => {
                let ids = arguments["ids"].as_array().cloned().unwrap_or_default();
                Ok(self.entries(name, &ids, arguments))
            }
            "get_entry_list" => self.list(name, arguments),
            "get_entries_count" => Ok(json!({ "result_count": self.list(name, arguments)?["total_count"] })),
            "set_entry" => {
                let id = self.set(name, &arguments["name_value_list"], now)?;
                Ok(json!({ "id": id, "entry_list": {} }))
            }
            "set_entries" => {
                let mut ids = Vec::new();
                // The first that fails is the last that is looked at.
                for row in arguments["name_value_lists"].as_array().into_iter().flatten() {
                    ids.push(self.set(name, row, now)?);
                }
                Ok(json!({ "ids": ids }))
            }
            "set_relationship" => Ok(self.relate(arguments)),
            "get_relationships" => Ok(self.related(name, arguments)),
            _ => Ok(error("Unknown Method", 1)),
        }
    }
}

impl FakeRecords for FakeLegacySuite {
    fn raw(&self, record: &str) -> Option<String> {
        self.beans.raw(record)
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        self.beans.plant(record, contact, now);
    }

    fn remark(&mut self, _: &str, _: &str) -> bool {
        false
    }
}

impl FakeCrm for FakeLegacySuite {
    of_its_beans!("suitecrm", escaped);

    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let path = asked.path.strip_prefix("/legacy").unwrap_or(&asked.path);
        if path != "/service/v4_1/rest.php" || asked.method != "POST" {
            return Answer::html(404, "<h1>Not Found</h1>");
        }
        let value = |name: &str| asked.form_value(name).unwrap_or_default();
        let arguments = serde_json::from_str(&value("rest_data"));
        let (true, true, Ok(arguments)) = (value("input_type") == "JSON", value("response_type") == "JSON", arguments)
        else {
            return Answer::html(200, "");
        };
        let method = value("method");
        match self.call(&method, &named(&method, arguments), now) {
            Ok(body) => Answer::json(200, &body),
            Err(DatabaseFailure) => Answer::html(500, "Database failure. Please refer to suitecrm.log for details."),
        }
    }

    fn expire_tokens(&mut self) {
        self.sessions.clear();
    }

    fn is_visit_write(&self, asked: &Asked) -> bool {
        asked.form_value("method").is_some_and(|method| method == "set_entries")
    }

    fn visits(&self) -> Vec<FakeVisit> {
        self.beans.visits("id")
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        format!(
            "[crm]\nkind = \"suitecrm\"\nca_file = \"{ca_file}\"\n[crm.suitecrm]\nurl = \"{url}\"\napi = \"v4_1\"\n\
             user = \"{ACCOUNT}\"\n[crm.suitecrm.fields]\npatronymic = \"patronymic_c\"\n\
             tier = \"loyalty_tier_c\"\noffer = \"offer_c\"\nvisits = \"visits_c\"\n"
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("crm/suitecrm/password", PASSWORD.to_owned())]
    }
}

/// As much of a WHERE as clients use here.
mod sql {
    use super::super::beans::Bean;
    use super::like;

    pub enum Condition {
        True,
        All(Vec<Condition>),
        Any(Vec<Condition>),
        /// Field, operator, values.
        Test(String, String, Vec<String>),
    }

    /// `None` for what the database would not understand, an open quote first of all.
    pub fn parse(text: &str) -> Option<Condition> {
        let text = text.trim();
        if text.is_empty() {
            return Some(Condition::True);
        }
        for word in [" OR ", " AND "] {
            let parts = split(text, word)?;
            if parts.len() > 1 {
                let parts = parts.into_iter().map(parse).collect::<Option<_>>()?;
                return Some(if word == " OR " { Condition::Any(parts) } else { Condition::All(parts) });
            }
        }
        if let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            return parse(inner);
        }
        test(text)
    }

    /// At a word that stands outside quotes and parentheses.
    fn split<'a>(text: &'a str, word: &str) -> Option<Vec<&'a str>> {
        let (mut parts, mut from, mut depth, mut quoted) = (Vec::new(), 0, 0, false);
        for (at, c) in text.char_indices() {
            match c {
                '\'' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                ' ' if !quoted && depth == 0 && text[at..].starts_with(word) && at >= from => {
                    parts.push(&text[from..at]);
                    from = at + word.len();
                }
                _ => {}
            }
        }
        parts.push(&text[from..]);
        (!quoted && depth == 0).then_some(parts)
    }

    fn test(text: &str) -> Option<Condition> {
        let literal = |text: &str| {
            let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (!inner.contains('\'')).then(|| inner.to_owned())
        };
        // The one subquery that there is: contacts by their addresses.
        if text.contains("email_addr_bean_rel") {
            let (_, pattern) = text.rsplit_once("email_address_caps LIKE ")?;
            let pattern = literal(pattern.trim_end().strip_suffix(')')?)?;
            return Some(Condition::Test("email1".to_owned(), "LIKE".to_owned(), vec![pattern]));
        }
        let field = |text: &str| text.trim().rsplit('.').next().map(str::to_owned);
        if let Some((name, list)) = text.split_once(" IN (") {
            let values = list.trim_end().strip_suffix(')')?.split(',').map(literal).collect::<Option<_>>()?;
            return Some(Condition::Test(field(name)?, "IN".to_owned(), values));
        }
        for operator in [" LIKE ", ">=", "<=", "=", ">", "<"] {
            if let Some((name, value)) = text.split_once(operator) {
                return Some(Condition::Test(field(name)?, operator.trim().to_owned(), vec![literal(value)?]));
            }
        }
        None
    }

    impl Condition {
        pub fn is_known(&self, fields: &[&str]) -> bool {
            match self {
                Self::True => true,
                Self::All(all) | Self::Any(all) => all.iter().all(|one| one.is_known(fields)),
                Self::Test(field, ..) => fields.contains(&field.as_str()),
            }
        }

        pub fn holds(&self, bean: &Bean) -> bool {
            match self {
                Self::True => true,
                Self::All(all) => all.iter().all(|one| one.holds(bean)),
                Self::Any(all) => all.iter().any(|one| one.holds(bean)),
                Self::Test(field, operator, values) => {
                    let own = bean.get(field).map(String::as_str).unwrap_or_default();
                    match &**operator {
                        "LIKE" => like(own, &values[0]),
                        "IN" | "=" => values.iter().any(|value| own.to_lowercase() == value.to_lowercase()),
                        ">=" => own >= values[0].as_str(),
                        ">" => own > values[0].as_str(),
                        "<=" => own <= values[0].as_str(),
                        _ => own < values[0].as_str(),
                    }
                }
            }
        }
    }
}
