//! The entity sets of the Dataverse Web API: reading with its strictness, creating and changing under conditions.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::odata::{self, Entity, Kind, Options, Row, bare_id};
use super::super::{Answer, Asked, POISON_TILL};
use super::tracking::{link, page_size};
use super::{APP_USER, ENTITIES, FakeDynamics, KEYS, ROOT, error};

const SHOWN: &str = "OData.Community.Display.V1.FormattedValue";

fn no_property(name: &str, entity: &Entity) -> String {
    format!("Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{}'.", entity.name)
}

/// `set(key)/rest` in its pieces.
pub(super) fn pieces(rest: &str) -> (&str, Option<&str>, &str) {
    let Some(open) = rest.find('(').filter(|open| !rest[..*open].contains('/')) else {
        let (set, tail) = rest.split_once('/').unwrap_or((rest, ""));
        return (set, None, tail);
    };
    let close = rest.find(')').unwrap_or(rest.len());
    let tail = rest.get(close + 1..).unwrap_or_default().trim_start_matches('/');
    (&rest[..open], rest.get(open + 1..close), tail)
}

impl FakeDynamics {
    /// Answers what is below the root, but for batches.
    pub(super) fn serve(&mut self, rest: &str, asked: &Asked, now: Timestamp) -> Answer {
        match rest {
            "" => {
                let sets = ENTITIES.iter().map(|e| json!({ "name": e.set, "kind": "EntitySet", "url": e.set }));
                return Answer::json(200, &json!({ "@odata.context": "$metadata", "value": sets.collect::<Vec<_>>() }));
            }
            "$metadata" => {
                let text = odata::metadata("Microsoft.Dynamics.CRM", ENTITIES);
                let headers = vec![("content-type".to_owned(), "application/xml".to_owned())];
                return Answer { status: 200, headers, body: text.into_bytes() };
            }
            "WhoAmI" | "WhoAmI()" => {
                let own = json!({ "BusinessUnitId": APP_USER, "UserId": APP_USER, "OrganizationId": APP_USER });
                return Answer::json(200, &own);
            }
            "BulkDelete" => return self.bulk_delete(asked),
            _ if rest.starts_with("EntityDefinitions") => return self.definitions(rest, asked),
            _ => {}
        }
        let (set, key, tail) = pieces(rest);
        let Some(entity) = self.described.find(|entity| entity.set == set) else {
            return error(404, "0x8006088a", &format!("Resource not found for the segment '{set}'."));
        };
        if tail.contains("RetrieveUserPrivilegeByPrivilegeName") {
            return self.privilege(tail);
        }
        let body = asked.json().and_then(|body| body.as_object().cloned());
        let unread = || error(400, "0x80048d19", "Error identified in Payload provided by the user.");
        match (asked.method.as_str(), key, tail) {
            ("GET", None, "") => self.list(entity, asked, now),
            ("GET", None, "$count") => {
                let count = self.rows(entity.name).len().to_string().into_bytes();
                Answer { status: 200, headers: vec![("content-type".to_owned(), "text/plain".to_owned())], body: count }
            }
            ("POST", None, "") => match body {
                Some(values) => self.create(entity, &values, asked, now),
                None => unread(),
            },
            ("POST", None, action) => match body {
                Some(values) => self.multiple(entity, action, &values, asked, now),
                None => unread(),
            },
            (method, Some(key), "") => {
                let (column, value) = match self.key(entity, key) {
                    Ok(key) => key,
                    Err(refused) => return refused,
                };
                let same = |row: &&Row| {
                    row.get(column).and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(&value))
                };
                let at = self.rows(entity.name).iter().position(|row| same(&row));
                match (method, at) {
                    ("GET", Some(at)) => match self.view(entity, &self.rows(entity.name)[at], asked) {
                        Ok(row) => Answer::json(200, &Value::Object(row)),
                        Err(message) => error(400, "0x80060888", &message),
                    },
                    ("PATCH", at) => match body {
                        Some(values) => self.upsert(entity, (column, &value), at, &values, asked, now),
                        None => unread(),
                    },
                    ("DELETE", Some(at)) => {
                        self.remove(entity, at);
                        Answer::empty(204)
                    }
                    (_, None) => Self::absent(entity, column, &value),
                    _ => error(405, "0x0", "The requested resource does not support http method."),
                }
            }
            _ => error(405, "0x0", "The requested resource does not support http method."),
        }
    }

    fn absent(entity: &Entity, column: &str, value: &str) -> Answer {
        if column == entity.key {
            return error(404, "0x80040217", &format!("{} With Id = {value} Does Not Exist", entity.name));
        }
        error(
            404,
            "0x80060891",
            &format!("A record with the specified key values does not exist in {} entity", entity.name),
        )
    }

    /// The column and value of a key: a GUID without quotes, or an alternate key whose index is built.
    fn key(&self, entity: &'static Entity, key: &str) -> Result<(&'static str, String), Answer> {
        if let Some(id) = bare_id(key) {
            return Ok((entity.key, id));
        }
        let (column, value) = key.split_once('=').ok_or_else(|| error(400, "0x80060888", "Error in query syntax."))?;
        if column == entity.key {
            return Ok((entity.key, bare_id(value).ok_or_else(|| error(400, "0x80060888", "Error in query syntax."))?));
        }
        let known =
            KEYS.iter().find(|(name, own)| *name == entity.name && *own == column && self.key_status == "Active");
        let (_, column) = known.ok_or_else(|| {
            error(
                400,
                "0x80060888",
                &format!("The key property '{column}' was not found in the keys of '{}'", entity.name),
            )
        })?;
        let text = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
        let text = text.ok_or_else(|| error(400, "0x80060888", "Error in query syntax: a string stands in quotes."))?;
        if text.contains(['/', '<', '>', '*', '%', '&', ':', '\\', '?', '+', ' ']) {
            return Err(error(400, "0x80060888", "A potentially dangerous Request.Path value was detected."));
        }
        Ok((column, text.replace("''", "'")))
    }

    pub(super) fn remove(&mut self, entity: &'static Entity, at: usize) {
        let row = self.tables.get_mut(entity.name).unwrap().remove(at);
        self.version += 1;
        let id = row[entity.key].as_str().unwrap_or_default().to_owned();
        self.deleted.push((self.version, entity.name, id));
    }

    fn value(&self, entity: &Entity, row: &Row, path: &str) -> Value {
        match path.split_once('/') {
            None => row.get(path).cloned().unwrap_or(Value::Null),
            Some((nav, column)) => {
                let link = entity.link(nav).unwrap();
                let other = super::entity(link.to);
                let found = self.rows(link.to).iter().find(|found| found.get(other.key) == row.get(link.column));
                found.and_then(|found| found.get(column).cloned()).unwrap_or(Value::Null)
            }
        }
    }

    fn kind_of(entity: &Entity, path: &str) -> Result<Kind, String> {
        let kind = match path.split_once('/') {
            Some((nav, column)) => entity.link(nav).and_then(|link| super::entity(link.to).kind(column)),
            None => entity.kind(path),
        };
        kind.ok_or_else(|| no_property(path, entity))
    }

    pub(super) fn view(&self, entity: &Entity, row: &Row, asked: &Asked) -> Result<Row, String> {
        let options = Options(&asked.query);
        let wanted = odata::paths(options.get("$select").unwrap_or_default());
        if let Some(unknown) = wanted.iter().find(|column| entity.kind(column).is_none()) {
            return Err(no_property(unknown, entity));
        }
        let annotated = asked.header("prefer").is_some_and(|p| p.contains(SHOWN) || p.contains("annotations=\"*\""));
        let mut view = Row::new();
        let version = row.get("#version").and_then(Value::as_u64).unwrap_or(0);
        view.insert("@odata.etag".to_owned(), format!("W/\"{version}\"").into());
        for (name, _) in entity.columns {
            if wanted.is_empty() || *name == entity.key || wanted.iter().any(|own| own == name) {
                let value = row.get(*name).cloned().unwrap_or(Value::Null);
                if *name == "_ownerid_value" && annotated {
                    view.insert(format!("{name}@Microsoft.Dynamics.CRM.lookuplogicalname"), "systemuser".into());
                }
                if let Some(shown) = annotated.then(|| self.formatted(name, &value)).flatten() {
                    view.insert(format!("{name}@{SHOWN}"), shown.into());
                }
                view.insert((*name).to_owned(), value);
            }
        }
        for (nav, columns) in odata::expansions(options.get("$expand").unwrap_or_default()) {
            let link = entity.link(&nav).ok_or_else(|| no_property(&nav, entity))?;
            let other = super::entity(link.to);
            let found = self.rows(link.to).iter().find(|found| found.get(other.key) == row.get(link.column));
            let inner = found.map(|found| {
                let is_wanted =
                    |name: &str| columns.is_empty() || name == other.key || columns.iter().any(|c| c == name);
                let all = other.columns.iter().filter(|(name, _)| is_wanted(name));
                Value::Object(
                    all.map(|(n, _)| ((*n).to_owned(), found.get(*n).cloned().unwrap_or(Value::Null))).collect(),
                )
            });
            view.insert(nav, inner.unwrap_or(Value::Null));
        }
        Ok(view)
    }

    fn list(&mut self, entity: &'static Entity, asked: &Asked, now: Timestamp) -> Answer {
        let options = Options(&asked.query);
        let bad = |message: &str| error(400, "0x80060888", message);
        if options.get("$skip").is_some() {
            return bad("Skip Clause is not supported in CRM");
        }
        if let Err(message) = self.view(entity, &Row::new(), asked) {
            return bad(&message);
        }
        if let Some(answer) = self.tracked(entity, asked, now) {
            return answer;
        }
        let mut rows: Vec<Row> = self.rows(entity.name).to_vec();
        if let Some(text) = options.get("$filter") {
            match odata::filter(text, &|path| Self::kind_of(entity, path)) {
                Ok(filter) => rows.retain(|row| filter.holds(&|path| self.value(entity, row, path))),
                Err(message) => return bad(&message),
            }
        }
        let order = options.get("$orderby").unwrap_or_default();
        if let Some(message) = odata::paths(order).iter().find_map(|path| Self::kind_of(entity, path).err()) {
            return bad(&message);
        }
        odata::sort(&mut rows, order, &|row, path| self.value(entity, row, path));
        let all = rows.len();
        if let Some(top) = options.get("$top").and_then(|top| top.parse().ok()) {
            rows.truncate(top);
        }
        let done = options.get("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or(0);
        let size = page_size(asked);
        let views = rows.iter().skip(done).take(size).map(|row| self.view(entity, row, asked));
        let mut body = json!({
            "@odata.context": format!("$metadata#{}", entity.set),
            "value": views.collect::<Result<Vec<_>, _>>().unwrap(),
        });
        if options.get("$count") == Some("true") {
            body["@odata.count"] = all.into();
        }
        if rows.len() > done + size {
            body["@odata.nextLink"] = link(entity, asked, "$skiptoken", &(done + size).to_string()).into();
        }
        Answer::json(200, &body)
    }

    /// The values as they will be stored, or the answer that refuses them.
    fn accepted(&self, entity: &Entity, values: &Row) -> Result<Row, Answer> {
        let mut taken = Map::new();
        let is_visit = matches!(entity.name, "task" | "new_storevisit");
        let gives_away = self.keeps_owners && values.contains_key("ownerid_task@odata.bind");
        if is_visit && (self.right_taken || gives_away) {
            let right = if gives_away { "prvAssignActivity" } else { "prvWriteActivity" };
            let message = format!("Principal user (Id={APP_USER}, type=8) is missing {right} privilege on OTC=4200.");
            return Err(error(403, "0x80040220", &message));
        }
        if is_visit && self.demands_field {
            return Err(error(400, "0x80040265", "A required field is missing: new_region."));
        }
        for (name, value) in values {
            if let Some(nav) = name.strip_suffix("@odata.bind") {
                let link = entity.link(nav).ok_or_else(|| {
                    error(
                        400,
                        "0x80048d19",
                        &format!("An undeclared property '{nav}' which only has property annotations in the payload."),
                    )
                })?;
                let other = super::entity(link.to);
                let target = value.as_str().unwrap_or_default().trim_start_matches('/');
                let target = target.rsplit_once(&format!("{ROOT}/")).map_or(target, |(_, rest)| rest);
                let (set, key, _) = pieces(target);
                let (column, key) = match (set == other.set, key) {
                    (true, Some(key)) => self.key(super::entity(link.to), key)?,
                    _ => return Err(error(400, "0x80048d19", "The URI of a binding is not valid.")),
                };
                let there =
                    self.rows(link.to).iter().find(|row| row.get(column).and_then(Value::as_str) == Some(&*key));
                let row = there.ok_or_else(|| Self::absent(other, column, &key))?;
                taken.insert(link.column.to_owned(), row[other.key].clone());
                continue;
            }
            if name.contains('@') {
                continue;
            }
            let kind = entity.kind(name).filter(|_| !name.starts_with('_')).ok_or_else(|| {
                error(
                    400,
                    "0x80048d19",
                    &format!("Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{}'.", entity.name),
                )
            })?;
            if !odata::fits(kind, value) {
                return Err(error(400, "0x80048d19", "Cannot convert the literal to the expected type 'Edm'."));
            }
            if value.as_str().is_some_and(|text| text.contains(POISON_TILL)) {
                return Err(error(
                    400,
                    "0x80044331",
                    "A validation error occurred. The value exceeded the maximum length.",
                ));
            }
            taken.insert(name.clone(), value.clone());
        }
        Ok(taken)
    }

    /// Creates a row with that id; its state is always the first one, whatever the values say.
    fn insert(&mut self, entity: &'static Entity, id: String, mut row: Row, now: Timestamp) -> Result<usize, Answer> {
        // Deleted contacts are kept for a while, and with them their keys.
        let kept =
            entity.name == "contact" && self.deleted.iter().any(|(_, table, own)| *table == "contact" && *own == id);
        if kept || self.rows(entity.name).iter().any(|other| other[entity.key] == id.as_str()) {
            return Err(error(412, "0x80040237", "A record with matching key values already exists."));
        }
        self.unique(entity, &row, None)?;
        if entity.kind("statecode").is_some() {
            row.insert("statecode".to_owned(), 0.into());
            row.insert("statuscode".to_owned(), if entity.name == "task" { 2.into() } else { 1.into() });
        }
        if entity.kind("_ownerid_value").is_some() {
            row.entry("_ownerid_value").or_insert_with(|| APP_USER.into());
        }
        row.insert(entity.key.to_owned(), id.into());
        let table = self.tables.get_mut(entity.name).unwrap();
        table.push(row);
        let at = table.len() - 1;
        self.touch(entity.name, at, now);
        Ok(at)
    }

    fn unique(&self, entity: &Entity, row: &Row, own: Option<usize>) -> Result<(), Answer> {
        for (_, column) in KEYS.iter().filter(|(name, _)| *name == entity.name) {
            let value = row.get(*column).filter(|value| !value.is_null());
            let twin = |(at, other): (usize, &Row)| Some(at) != own && value.is_some() && other.get(*column) == value;
            if self.rows(entity.name).iter().enumerate().any(twin) {
                return Err(error(
                    412,
                    "0x80060892",
                    "A record that has the attribute values already exists. The entity key requires that this set of attributes contains unique values.",
                ));
            }
        }
        Ok(())
    }

    fn change(&mut self, entity: &'static Entity, at: usize, row: Row, now: Timestamp) -> Result<(), Answer> {
        self.unique(entity, &row, Some(at))?;
        let state = |row: &Row, name: &str| row.get(name).and_then(Value::as_i64);
        if let Some(to) = state(&row, "statecode") {
            let from = state(&self.rows(entity.name)[at], "statecode");
            let reasons: &[i64] = match (entity.name, to) {
                ("task", 0) => &[2, 3, 4, 7],
                ("task", 1) => &[5],
                ("task", 2) => &[6],
                (_, 0) => &[1],
                _ => &[2],
            };
            let fits = state(&row, "statuscode").is_some_and(|reason| reasons.contains(&reason));
            let strict = self.strict_transitions && entity.name == "task" && from == Some(1) && to == 2;
            if !fits || strict {
                return Err(error(400, "0x80048408", "The status code is not valid for the state code."));
            }
        }
        self.tables.get_mut(entity.name).unwrap()[at].extend(row);
        self.touch(entity.name, at, now);
        Ok(())
    }

    pub(super) fn create(&mut self, entity: &'static Entity, values: &Row, asked: &Asked, now: Timestamp) -> Answer {
        let made = self.accepted(entity, values).and_then(|row| {
            let id = row.get(entity.key).and_then(Value::as_str).and_then(bare_id).unwrap_or_else(|| self.fresh_id());
            self.insert(entity, id, row, now)
        });
        match made {
            Ok(at) => self.written(entity, at, 201, asked),
            Err(refused) => refused,
        }
    }

    fn upsert(
        &mut self,
        entity: &'static Entity,
        (column, value): (&'static str, &str),
        at: Option<usize>,
        values: &Row,
        asked: &Asked,
        now: Timestamp,
    ) -> Answer {
        if let Some(header) = self.refuses_header.filter(|header| asked.header(header).is_some()) {
            return error(400, "", &format!("The header {header} is not supported."));
        }
        let etag = |at: usize| format!("W/\"{}\"", self.rows(entity.name)[at]["#version"]);
        match (asked.header("if-match"), asked.header("if-none-match"), at) {
            (_, Some("*"), Some(_)) => return error(412, "", "A record with matching key values already exists."),
            (Some(_), _, None) => return Self::absent(entity, column, value),
            (None, _, None) if self.only_updates => return Self::absent(entity, column, value),
            (Some(wanted), _, Some(at)) if wanted != "*" && wanted != etag(at) => {
                return error(412, "0x80060882", "The version of the existing record doesn't match.");
            }
            _ => {}
        }
        if self.loses_completion && values.contains_key("statecode") {
            return error(500, "0x80040216", "An unexpected error occurred.");
        }
        let done = self.accepted(entity, values).and_then(|mut row| match at {
            Some(at) => self.change(entity, at, row, now).map(|()| (at, 200)),
            None => {
                let id = if column == entity.key { value.to_owned() } else { self.fresh_id() };
                row.insert(column.to_owned(), value.into());
                self.insert(entity, id, row, now).map(|at| (at, 201))
            }
        });
        match done {
            Ok((at, status)) => self.written(entity, at, status, asked),
            Err(refused) => refused,
        }
    }

    fn written(&self, entity: &Entity, at: usize, status: u16, asked: &Asked) -> Answer {
        let row = &self.rows(entity.name)[at];
        let host = asked.header("host").unwrap_or("localhost");
        let id = format!("https://{host}{ROOT}/{}({})", entity.set, row[entity.key].as_str().unwrap());
        let answer = if asked.header("prefer").is_some_and(|prefer| prefer.contains("return=representation")) {
            match self.view(entity, row, asked) {
                Ok(row) => Answer::json(status, &Value::Object(row)),
                Err(message) => error(400, "0x80060888", &message),
            }
        } else {
            Answer::empty(204)
        };
        answer.with("OData-EntityId", &id)
    }
}
