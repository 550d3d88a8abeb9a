//! What lies in the portal: contacts, elements of smart processes, comments; written, listed, and filtered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::{TimeZone, offset};
use serde_json::{Map, Value, json};

use super::php::{many, map, number, text};
use super::{BOXES, CONTACTS, DEALS, Quirks, VISITS};
use crate::crm::POISON_TILL;

pub type Row = Map<String, Value>;
/// The portal's code and its prose.
pub type Refusal = (u16, &'static str, String);

/// (name, the other spelling, kind)
type Field = (&'static str, &'static str, &'static str);

const COMMON: &[Field] = &[
    ("id", "ID", "integer"),
    ("assignedById", "ASSIGNED_BY_ID", "user"),
    ("createdTime", "CREATED_TIME", "datetime"),
    ("updatedTime", "UPDATED_TIME", "datetime"),
];
const CONTACT: &[Field] = &[
    ("name", "NAME", "string"),
    ("secondName", "SECOND_NAME", "string"),
    ("lastName", "LAST_NAME", "string"),
    ("birthdate", "BIRTHDATE", "date"),
    ("comments", "COMMENTS", "text"),
    ("originatorId", "ORIGINATOR_ID", "string"),
    ("originId", "ORIGIN_ID", "string"),
    ("fm", "FM", "crm_multifield"),
    ("ufCrmTier", "UF_CRM_TIER", "enumeration"),
    ("ufCrmOffer", "UF_CRM_OFFER", "string"),
    ("ufCrmVisits", "UF_CRM_VISITS", "integer"),
    ("ufCrmSnova", "UF_CRM_SNOVA", "string"),
];
const ELEMENT: &[Field] = &[
    ("title", "TITLE", "string"),
    ("xmlId", "XML_ID", "string"),
    ("contactId", "CONTACT_ID", "crm_contact"),
    ("contactIds", "CONTACT_IDS", "crm_contact"),
    ("stageId", "STAGE_ID", "crm_status"),
];
const VISIT: &[Field] = &[
    ("ufCrm5At", "UF_CRM_5_AT", "datetime"),
    ("ufCrm5Until", "UF_CRM_5_UNTIL", "datetime"),
    ("ufCrm5Counter", "UF_CRM_5_COUNTER", "string"),
    ("ufCrm5How", "UF_CRM_5_HOW", "string"),
    ("ufCrm5Void", "UF_CRM_5_VOID", "boolean"),
];

/// As the portal writes times: in its own zone.
pub fn stamp(at: Timestamp) -> String {
    at.to_zoned(TimeZone::fixed(offset(3))).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The portal's tables.
#[derive(Default)]
pub struct Items {
    pub tables: BTreeMap<i64, Vec<Row>>,
    pub comments: Vec<Row>,
    /// The words of the list "tier"; numbers begin at 80.
    pub tiers: Vec<String>,
    pub demands_field: bool,
    pub lacks_right: bool,
    pub drops_clients: bool,
    /// Fields of the company's own that were made since, with the type that has them.
    made: Vec<(i64, Field)>,
    next_id: i64,
}

/// `UF_CRM_5_AT` as `ufCrm5At`.
fn camel(upper: &str) -> String {
    let mut words = upper.split('_').map(str::to_lowercase);
    let first = words.next().unwrap_or_default();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

fn not_found() -> Refusal {
    (400, "NOT_FOUND", "Элемент не найден".to_owned())
}

impl Items {
    pub fn fresh_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn fields(&self, type_id: i64, quirks: Quirks) -> Result<Vec<Field>, Refusal> {
        let own: Vec<&[Field]> = match type_id {
            CONTACTS => vec![COMMON, CONTACT],
            VISITS => vec![COMMON, ELEMENT, VISIT],
            BOXES | DEALS => vec![COMMON, ELEMENT],
            _ => return Err((400, "NOT_FOUND", "Смарт-процесс не найден".to_owned())),
        };
        let made = self.made.iter().filter(|(own, _)| *own == type_id).map(|(_, field)| *field);
        let all = own.concat().into_iter().chain(made);
        Ok(all.filter(|field| !(quirks.no_clients && field.0.starts_with("contactId"))).collect())
    }

    /// The number of a new field; a contact's name is short, and gets its beginning from the portal.
    pub fn make_field(&mut self, type_id: i64, name: &str, kind: &str) -> Result<Value, Refusal> {
        let upper = if type_id == CONTACTS { format!("UF_CRM_{name}") } else { name.to_owned() };
        let most = if type_id == CONTACTS { 20 } else { 50 };
        let is_there = self.made.iter().any(|(own, field)| *own == type_id && field.1 == upper);
        let begins = if type_id == CONTACTS { "UF_CRM_" } else { "UF_CRM_5_" };
        if upper.len() > most || is_there || !upper.starts_with(begins) || kind.is_empty() {
            return Err((400, "ERROR_CORE", "Поле с таким кодом уже есть или код неверен".to_owned()));
        }
        let (own, upper, kind) = (camel(&upper).leak(), upper.leak(), kind.to_owned().leak());
        self.made.push((type_id, (own, upper, kind)));
        for row in self.tables.get_mut(&type_id).into_iter().flatten() {
            row.insert((*own).to_owned(), Value::Null);
        }
        Ok(self.made.len().into())
    }

    pub fn described(&self, type_id: i64, quirks: Quirks) -> Result<Value, Refusal> {
        let items = |kind: &str| match kind {
            "enumeration" => {
                (80..).zip(&self.tiers).map(|(id, word)| json!({ "ID": id.to_string(), "VALUE": word })).collect()
            }
            _ => Vec::new(),
        };
        let describe = |(name, upper, kind): &Field| {
            let mut field = json!({
                "type": kind, "isRequired": false, "isReadOnly": name.ends_with("Time") || *name == "id", "isMultiple": *name == "fm",
                "isDynamic": name.starts_with("uf"), "title": name, "upperName": upper,
            });
            if *kind == "enumeration" {
                field["items"] = items(kind).into();
            }
            ((*name).to_owned(), field)
        };
        let mut described: Row = self.fields(type_id, quirks)?.iter().map(describe).collect();
        if self.demands_field && type_id == VISITS {
            let field =
                json!({ "type": "employee", "isRequired": true, "isReadOnly": false, "upperName": "UF_CRM_5_MANAGER" });
            described.insert("ufCrm5Manager".to_owned(), field);
        }
        Ok(json!({ "fields": described }))
    }

    fn at(&self, type_id: i64, id: &Value) -> Result<usize, Refusal> {
        let id = number(id);
        let rows = self.tables.get(&type_id).map(Vec::as_slice).unwrap_or_default();
        rows.iter().position(|row| row["id"].as_i64() == id).ok_or_else(not_found)
    }

    pub fn get(&self, type_id: i64, id: &Value) -> Result<Row, Refusal> {
        self.at(type_id, id).map(|at| self.tables[&type_id][at].clone())
    }

    pub fn add(&mut self, type_id: i64, given: &Value, quirks: Quirks, now: Timestamp) -> Result<Row, Refusal> {
        let known = self.fields(type_id, quirks)?;
        if quirks.restricted && type_id != CONTACTS {
            return Err((400, "CREATE_DYNAMIC_ITEM_RESTRICTED", "Ограничение тарифа".to_owned()));
        }
        Self::check(given)?;
        if type_id == VISITS {
            self.allowed()?;
        }
        let mut row = Row::new();
        for (name, _, kind) in known {
            row.insert(
                name.to_owned(),
                if kind == "crm_multifield" || name == "contactIds" { json!([]) } else { Value::Null },
            );
        }
        let id = self.fresh_id();
        row.insert("id".to_owned(), id.into());
        row.insert("assignedById".to_owned(), 1.into());
        row.insert("createdTime".to_owned(), stamp(now).into());
        self.tables.entry(type_id).or_default().push(row);
        self.change(type_id, &id.into(), given, quirks, now)
    }

    /// Whether visits may be written as things are.
    fn allowed(&self) -> Result<(), Refusal> {
        match (self.lacks_right, self.demands_field) {
            (true, _) => Err((403, "ACCESS_DENIED", "Доступ запрещен".to_owned())),
            (_, true) => Err((400, "CRM_FIELD_ERROR_REQUIRED", "Не заполнено обязательное поле".to_owned())),
            _ => Ok(()),
        }
    }

    fn check(given: &Value) -> Result<(), Refusal> {
        // A wrong value of a known field is refused; a field that is not known is passed over.
        let is_bad =
            text(&given["ufCrm5Counter"]).contains(POISON_TILL) || text(&given["COMMENT"]).contains(POISON_TILL);
        match is_bad {
            true => Err((400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", "Неверное значение поля".to_owned())),
            false => Ok(()),
        }
    }

    pub fn change(
        &mut self,
        type_id: i64,
        id: &Value,
        given: &Value,
        quirks: Quirks,
        now: Timestamp,
    ) -> Result<Row, Refusal> {
        let known = self.fields(type_id, quirks)?;
        Self::check(given)?;
        let at = self.at(type_id, id)?;
        let multi = self.next_id;
        let drops = self.drops_clients;
        // Of a contact that is not there nothing is said.
        let contacts = self.tables.get(&CONTACTS).into_iter().flatten();
        let contacts: Vec<i64> = contacts.filter_map(|row| row["id"].as_i64()).collect();
        let row = &mut self.tables.get_mut(&type_id).unwrap()[at];
        for (name, value) in given.as_object().cloned().unwrap_or_default() {
            let Some((name, _, kind)) = known.iter().find(|(own, upper, _)| *own == name || *upper == name) else {
                continue;
            };
            let value = match *kind {
                "datetime" if name.ends_with("Time") => continue,
                "datetime" => text(&value).parse::<Timestamp>().map_or(Value::Null, |at| stamp(at).into()),
                "date" => text(&value).get(..10).map_or(Value::Null, |date| format!("{date}T03:00:00+03:00").into()),
                "boolean" => if ["Y", "1", "true"].contains(&&*text(&value)) { "Y" } else { "N" }.into(),
                "crm_contact" if *name == "contactIds" => {
                    many(&value).iter().filter_map(number).filter(|id| contacts.contains(id) && !drops).collect()
                }
                "double" => text(&value).parse::<f64>().map_or(Value::Null, Value::from),
                "integer" | "user" | "enumeration" | "crm_contact" => number(&value).map_or(Value::Null, Value::from),
                "crm_multifield" => (multi..)
                    .zip(many(&value))
                    .map(|(id, own)| json!({ "id": id * 10, "valueType": own["valueType"], "value": own["value"], "typeId": own["typeId"] }))
                    .collect(),
                _ => Some(text(&value)).filter(|text| !text.is_empty()).map_or(Value::Null, Value::from),
            };
            row.insert((*name).to_owned(), value);
        }
        if row.contains_key("contactIds") {
            let first = row["contactIds"][0].clone();
            row.insert("contactId".to_owned(), first);
        }
        row.insert("updatedTime".to_owned(), stamp(now).into());
        Ok(row.clone())
    }

    pub fn delete(&mut self, type_id: i64, id: &Value) -> Result<(), Refusal> {
        let at = self.at(type_id, id)?;
        let gone = self.tables.get_mut(&type_id).unwrap().remove(at);
        if type_id == CONTACTS {
            for row in self.tables.get_mut(&VISITS).into_iter().flatten().filter(|row| row["contactId"] == gone["id"]) {
                row.insert("contactId".to_owned(), Value::Null);
                row.insert("contactIds".to_owned(), json!([]));
            }
        }
        Ok(())
    }

    /// The page, and where the next begins.
    pub fn list(&self, params: &Value, quirks: Quirks) -> Result<(Vec<Value>, Option<i64>, usize), Refusal> {
        let type_id = number(&params["entityTypeId"]).unwrap_or(0);
        let known = self.fields(type_id, quirks)?;
        let conditions = params["filter"].as_object().cloned().unwrap_or_default();
        for name in conditions.keys() {
            let bare = name.trim_start_matches(['=', '@', '>', '<', '!', '%']);
            if !known.iter().any(|(own, upper, _)| *own == bare || *upper == bare) {
                return Err((
                    400,
                    "INVALID_ARG_VALUE",
                    format!("Invalid filter: field '{bare}' is not allowed in filter"),
                ));
            }
        }
        let mut rows: Vec<&Row> = self.tables.get(&type_id).map(Vec::as_slice).unwrap_or_default().iter().collect();
        rows.retain(|row| conditions.iter().all(|(name, wanted)| holds(row, &known, name, wanted)));
        rows.sort_by_key(|row| row["id"].as_i64());
        let is_descending = text(&params["order"]["id"]).eq_ignore_ascii_case("desc");
        if is_descending {
            rows.reverse();
        }
        let total = rows.len();
        let start = number(&params["start"]).unwrap_or(0);
        let page: Vec<&Row> = rows.into_iter().skip(start.max(0) as usize).take(50).collect();
        let next = (start >= 0 && start as usize + 50 < total).then_some(start + 50);
        let select: Vec<String> = many(&params["select"]).iter().map(text).collect();
        let all = select.is_empty() || select.iter().any(|name| name == "*");
        let view = |row: &&Row| {
            let wanted = |name: &str| name == "id" || all || name != "fm" && select.iter().any(|own| own == name);
            Value::Object(row.iter().filter(|(name, _)| wanted(name)).map(|(n, v)| (n.clone(), v.clone())).collect())
        };
        Ok((page.iter().map(view).collect(), next, total))
    }

    /// Contacts with one of these phones or addresses, by the portal's index of digits.
    pub fn duplicates(&self, params: &Value) -> Result<Value, Refusal> {
        let values = many(&params["values"]);
        if values.is_empty() || values.len() > 20 {
            return Err((400, "Communication values is not defined", "Parameter 'values' is required.".to_owned()));
        }
        let kind = text(&params["type"]);
        let index = |value: &Value| {
            let value = text(value).trim().to_lowercase();
            if kind != "PHONE" {
                return value;
            }
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            digits.strip_prefix('8').filter(|rest| rest.len() == 10).map_or(digits.clone(), |rest| format!("7{rest}"))
        };
        let wanted: Vec<String> = values.iter().map(index).collect();
        let has = |row: &&Row| {
            many(&row["fm"]).iter().any(|own| own["typeId"] == kind.as_str() && wanted.contains(&index(&own["value"])))
        };
        let ids: Vec<i64> =
            self.tables.get(&CONTACTS).into_iter().flatten().filter(has).filter_map(|row| row["id"].as_i64()).collect();
        let mut found = Row::new();
        if !ids.is_empty() {
            found.insert("CONTACT".to_owned(), ids.into());
        }
        Ok(map(found))
    }

    pub fn comment(
        &mut self,
        action: &str,
        params: &Value,
        quirks: Quirks,
        now: Timestamp,
    ) -> Result<(Value, Option<i64>), Refusal> {
        let at = |comments: &[Row], id: &Value| {
            comments.iter().position(|row| row["ID"].as_str() == Some(&*text(id))).ok_or_else(not_found)
        };
        match action {
            "add" => {
                // The key is `fields` in small letters, and nothing else.
                let fields = &params["fields"];
                let owner = &fields["ENTITY_ID"];
                if text(&fields["ENTITY_TYPE"]) != "contact" || self.at(CONTACTS, owner).is_err() {
                    return Err((400, "OWNER_NOT_FOUND", "Owner was not found".to_owned()));
                }
                Self::check(fields)?;
                self.allowed()?;
                let id = self.fresh_id();
                let row = json!({
                    "ID": id.to_string(), "CREATED": stamp(now), "AUTHOR_ID": "1", "ENTITY_ID": text(owner), "ENTITY_TYPE": "contact",
                    "COMMENT": text(&fields["COMMENT"]),
                });
                self.comments.push(row.as_object().cloned().unwrap());
                Ok((id.into(), None))
            }
            // This one method has words and no code for what is not there.
            "get" => match at(&self.comments, &params["id"]) {
                Ok(_) if quirks.no_comments => Err((400, "", "Access denied.".to_owned())),
                Ok(at) => Ok((Value::Object(self.comments[at].clone()), None)),
                Err(_) => Err((400, "", "Not found.".to_owned())),
            },
            "update" => {
                let at = at(&self.comments, &params["id"])?;
                self.comments[at].insert("COMMENT".to_owned(), text(&params["fields"]["COMMENT"]).into());
                Ok((params["id"].clone(), None))
            }
            "delete" => {
                let at = at(&self.comments, &params["id"])?;
                self.comments.remove(at);
                Ok((Value::Null, None))
            }
            "list" => {
                // Only the owner is heeded of the filter, and without a selection there is nothing to see.
                let filter = &params["filter"];
                let is_own = |row: &&Row| {
                    row["ENTITY_ID"].as_str() == Some(&*text(&filter["ENTITY_ID"]))
                        && row["ENTITY_TYPE"] == filter["ENTITY_TYPE"]
                };
                let mut rows: Vec<&Row> = self.comments.iter().filter(is_own).collect();
                if text(&params["order"]["ID"]).eq_ignore_ascii_case("desc") {
                    rows.reverse();
                }
                let select: Vec<String> = many(&params["select"]).iter().map(text).collect();
                let start = number(&params["start"]).unwrap_or(0).max(0);
                let next = (start as usize + 50 < rows.len()).then_some(start + 50);
                let view = |row: &Row| -> Row {
                    row.iter().filter(|(name, _)| select.contains(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
                };
                let page = rows.into_iter().skip(start as usize).take(50).map(view).filter(|row| !row.is_empty());
                Ok((page.map(Value::Object).collect(), next))
            }
            _ => Err((404, "ERROR_METHOD_NOT_FOUND", "Method not found!".to_owned())),
        }
    }
}

fn holds(row: &Row, known: &[Field], name: &str, wanted: &Value) -> bool {
    let bare = name.trim_start_matches(['=', '@', '>', '<', '!', '%']);
    let sign = &name[..name.len() - bare.len()];
    let upper = |own: &str| known.iter().any(|(name, upper, _)| *name == own && *upper == bare);
    let own = row.iter().find(|(own, _)| *own == bare || upper(own)).map(|(_, value)| value).unwrap_or(&Value::Null);
    let equals = |wanted: &Value| text(own) == text(wanted);
    let ordered = || {
        let (own, wanted) = (text(own), text(wanted));
        match (own.parse::<Timestamp>(), wanted.parse::<Timestamp>()) {
            (Ok(own), Ok(wanted)) => own.cmp(&wanted),
            _ => own.parse::<i64>().unwrap_or(0).cmp(&wanted.parse::<i64>().unwrap_or(0)),
        }
    };
    match sign {
        ">" => ordered().is_gt(),
        ">=" => ordered().is_ge(),
        "<" => ordered().is_lt(),
        "<=" => ordered().is_le(),
        "!" | "!=" => !many(wanted).iter().any(equals),
        "%" => text(own).contains(&text(wanted)),
        _ => many(wanted).iter().any(equals),
    }
}
