//! Creatio's entity sets over OData 4: reading with its strictness, writing with its lies, and `$batch` in JSON.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::odata::{self, Entity, Kind, Options, Row, bare_id};
use super::super::{Answer, Asked, FakeRecords, POISON_TILL};
use super::{ENTITIES, FINISHED, FakeCreatio, TODO};

/// Of one length, so that stamps can be sorted as texts.
pub(super) fn stamp(at: Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into()
}

const NOTHING: &str = "00000000-0000-0000-0000-000000000000";
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The first shape of an error.
fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": "", "message": message } }))
}

/// The second.
fn exception(status: u16, kind: &str, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "Message": "An error has occurred.", "ExceptionMessage": message, "ExceptionType": kind, "StackTrace": "   at Terrasoft.Core" }),
    )
}

/// The third.
fn no_controller(set: &str) -> Answer {
    Answer::json(
        404,
        &json!({
            "Message": "No HTTP resource was found that matches the request URI.",
            "MessageDetail": format!("No type was found that matches the controller named '{set}'."),
        }),
    )
}

fn no_column(path: &str, entity: &Entity) -> String {
    format!("Column by path {path} not found in schema {}.", entity.name)
}

/// Empty values as Creatio shows them.
fn shown(kind: Kind, value: Option<&Value>) -> Value {
    match value {
        Some(value) if !value.is_null() => value.clone(),
        _ => match kind {
            Kind::Guid => NOTHING.into(),
            Kind::Time | Kind::Date => NEVER.into(),
            Kind::Text => "".into(),
            Kind::Whole | Kind::Decimal => 0.into(),
            Kind::Flag => false.into(),
        },
    }
}

impl FakeCreatio {
    fn entity_of(&self, set: &str) -> Option<&'static Entity> {
        self.described.find(|entity| entity.set == set)
    }

    /// Answers what is below the root of the entity sets.
    pub(super) fn serve(
        &mut self,
        method: &str,
        rest: &str,
        query: &[(String, String)],
        asked: &Asked,
        now: Timestamp,
    ) -> Answer {
        let options = Options(query);
        match rest {
            "" => {
                let sets = ENTITIES.iter().map(|e| json!({ "name": e.set, "kind": "EntitySet", "url": e.set }));
                return Answer::json(200, &json!({ "@odata.context": "$metadata", "value": sets.collect::<Vec<_>>() }));
            }
            "$metadata" => {
                let text = odata::metadata("Terrasoft.Configuration.OData", ENTITIES);
                let headers = vec![("content-type".to_owned(), "application/xml".to_owned())];
                return Answer { status: 200, headers, body: text.into_bytes() };
            }
            "$batch" => return self.batch(asked, now),
            _ => {}
        }
        if asked.header("x-http-method-override").is_some() {
            return error(405, "The requested resource does not support http method override.");
        }
        let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
        let (set, id) = match head.split_once('(') {
            Some((set, id)) => (set, Some(id.trim_end_matches(')'))),
            None => (head, None),
        };
        let Some(entity) = self.entity_of(set) else { return no_controller(set) };
        let body = || serde_json::from_slice::<Value>(&asked.body).ok().and_then(|body| body.as_object().cloned());
        match (method, id, tail) {
            ("GET", None, "") => self.list(entity, options),
            ("GET", None, "$count") => {
                let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
                Answer { status: 200, headers, body: self.rows(entity.name).len().to_string().into_bytes() }
            }
            ("POST", None, "") => match body() {
                Some(values) => self.insert(entity, &values, now),
                None => error(400, "The request body is not JSON."),
            },
            (_, Some(id), _) => {
                let Some(id) = bare_id(id) else {
                    return exception(400, "Microsoft.OData.ODataException", "Bad Request - Error in query syntax.");
                };
                let at = self.rows(entity.name).iter().position(|row| row["Id"] == id.as_str());
                let Some(at) = at else { return error(404, "The resource was not found.") };
                match (method, tail) {
                    ("GET", "") => match self.view(entity, &self.rows(entity.name)[at], options) {
                        Ok(mut row) => {
                            row.insert("@odata.context".to_owned(), format!("$metadata#{set}/$entity").into());
                            Answer::json(200, &Value::Object(row))
                        }
                        Err(message) => error(400, &message),
                    },
                    ("GET", tail) => {
                        let column = tail.trim_end_matches("/$value");
                        let Some(kind) = entity.kind(column) else { return error(400, &no_column(column, entity)) };
                        let value = shown(kind, self.rows(entity.name)[at].get(column));
                        match value {
                            Value::String(text) if tail.ends_with("/$value") => {
                                Answer { status: 200, headers: Vec::new(), body: text.into_bytes() }
                            }
                            value => Answer::json(200, &json!({ "value": value })),
                        }
                    }
                    ("PATCH", "") => match body() {
                        Some(values) => self.update(entity, at, &values, now),
                        None => error(400, "The request body is not JSON."),
                    },
                    ("DELETE", "") => {
                        self.tables.get_mut(entity.name).unwrap().remove(at);
                        Answer::empty(204)
                    }
                    _ => error(405, "The requested resource does not support http method."),
                }
            }
            _ => error(405, "The requested resource does not support http method."),
        }
    }

    /// A value by its path: a lookup's id is `Contact/Id` here, and never `ContactId`.
    fn value(&self, entity: &Entity, row: &Row, path: &str) -> Value {
        match path.split_once('/') {
            None => shown(entity.kind(path).unwrap_or(Kind::Text), row.get(path)),
            Some((nav, column)) => {
                let link = entity.link(nav).unwrap();
                let id = row.get(link.column).cloned().unwrap_or(Value::Null);
                if column == "Id" {
                    return id;
                }
                self.linked(link.to, &id).and_then(|row| row.get(column).cloned()).unwrap_or(Value::Null)
            }
        }
    }

    fn linked(&self, table: &str, id: &Value) -> Option<&Row> {
        let owners = if table == "Contact" { self.owners.as_slice() } else { &[] };
        self.rows(table).iter().chain(owners).find(|row| row.get("Id") == Some(id))
    }

    fn kind_of(&self, entity: &Entity, path: &str) -> Result<Kind, String> {
        let kind = match path.split_once('/') {
            Some((nav, column)) => {
                entity.link(nav).and_then(|link| self.entity_of(link.to)).and_then(|other| other.kind(column))
            }
            None if entity.links.iter().any(|link| link.column == path) => None,
            None => entity.kind(path),
        };
        kind.ok_or_else(|| no_column(path, entity))
    }

    fn view(&self, entity: &Entity, row: &Row, options: Options) -> Result<Row, String> {
        let wanted = odata::paths(options.get("$select").unwrap_or_default());
        if let Some(unknown) = wanted.iter().find(|column| entity.kind(column).is_none()) {
            return Err(no_column(unknown, entity));
        }
        let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|own| own == name);
        let mut view: Row = entity
            .columns
            .iter()
            .filter(|(name, _)| is_wanted(name))
            .map(|(name, kind)| ((*name).to_owned(), shown(*kind, row.get(*name))))
            .collect();
        for (nav, columns) in odata::expansions(options.get("$expand").unwrap_or_default()) {
            let link = entity.link(&nav).ok_or_else(|| no_column(&nav, entity))?;
            let other = self.entity_of(link.to).unwrap();
            if let Some(unknown) = columns.iter().find(|column| other.kind(column).is_none()) {
                return Err(no_column(unknown, other));
            }
            let id = row.get(link.column).cloned().unwrap_or(Value::Null);
            let inner = self.linked(link.to, &id).map(|found| {
                let is_wanted = |name: &str| columns.is_empty() || columns.iter().any(|own| own == name);
                let all = other.columns.iter().filter(|(name, _)| is_wanted(name));
                Value::Object(all.map(|(name, kind)| ((*name).to_owned(), shown(*kind, found.get(*name)))).collect())
            });
            view.insert(nav, inner.unwrap_or(Value::Null));
        }
        Ok(view)
    }

    fn list(&self, entity: &Entity, options: Options) -> Answer {
        let mut rows: Vec<Row> = self.rows(entity.name).to_vec();
        if let Some(text) = options.get("$filter").filter(|_| !self.ignores_filters) {
            match odata::filter(text, &|path| self.kind_of(entity, path)) {
                Ok(filter) => rows.retain(|row| filter.holds(&|path| self.value(entity, row, path))),
                Err(message) if message.starts_with("Column by path") => return error(500, &message),
                Err(message) => return exception(400, "Microsoft.OData.ODataException", &message),
            }
        }
        let order = options.get("$orderby").unwrap_or_default();
        if let Some(message) = odata::paths(order).iter().find_map(|path| self.kind_of(entity, path).err()) {
            return error(500, &message);
        }
        odata::sort(&mut rows, order, &|row, path| self.value(entity, row, path));
        if let Err(message) = self.view(entity, &Row::new(), options) {
            return error(400, &message);
        }
        let all = rows.len();
        let number = |name: &str, default: usize| options.get(name).map_or(Some(default), |text| text.parse().ok());
        let (Some(skip), Some(top)) = (number("$skip", 0), number("$top", usize::MAX)) else {
            return exception(400, "Microsoft.OData.ODataException", "Invalid value for $top or $skip");
        };
        let some = rows.iter().skip(skip).take(top.min(self.max_rows));
        match some.map(|row| self.view(entity, row, options)).collect::<Result<Vec<_>, _>>() {
            Ok(rows) => {
                let mut body = json!({ "@odata.context": format!("$metadata#{}", entity.set), "value": rows });
                if options.get("$count") == Some("true") {
                    body["@odata.count"] = all.into();
                }
                Answer::json(200, &body)
            }
            Err(message) => error(400, &message),
        }
    }

    /// The values as they will be stored, or the answer that refuses them. A lookup that is written by its path is
    /// dropped without a word.
    fn accepted(&self, entity: &Entity, values: &Row) -> Result<Row, Answer> {
        let mut taken = Map::new();
        for (name, value) in values.iter().filter(|(name, _)| !name.contains("odata.")) {
            if entity.link(name).is_some() || name.contains('/') {
                continue;
            }
            let Some(kind) = entity.kind(name) else { return Err(error(400, &no_column(name, entity))) };
            if !odata::fits(kind, value) {
                return Err(exception(
                    400,
                    "Microsoft.OData.ODataException",
                    "Cannot convert a literal to the expected type.",
                ));
            }
            let link = entity.links.iter().find(|link| link.column == name && !value.is_null());
            if let Some(link) = link
                && self.linked(link.to, value).is_none()
            {
                let message = "insert or update on table violates foreign key constraint";
                return Err(exception(500, "Npgsql.PostgresException", message));
            }
            taken.insert(name.clone(), value.clone());
        }
        Ok(taken)
    }

    /// What the administrator has done to visits.
    fn refused_visit(&self) -> Option<Answer> {
        if self.right_taken {
            let message =
                "Current user does not have sufficient permissions to run the operation on the Activity object.";
            return Some(exception(500, "System.Security.SecurityException", message));
        }
        if let Some((status, message)) = self.refuses {
            return Some(error(status, message));
        }
        self.demands_field.then(|| error(400, "A value of the column UsrRegion is required."))
    }

    fn insert(&mut self, entity: &Entity, values: &Row, now: Timestamp) -> Answer {
        let poisoned = |name: &str| values.get(name).and_then(Value::as_str).is_some_and(|t| t.contains(POISON_TILL));
        if entity.name == "Activity"
            && let Some(refused) = self.refused_visit()
        {
            return refused;
        }
        if poisoned("Title") || poisoned("Notes") {
            return error(400, "The value of the column Title is not valid.");
        }
        let mut row = match self.accepted(entity, values) {
            Ok(row) => row,
            Err(refused) => return refused,
        };
        let id = match row.get("Id").and_then(Value::as_str).and_then(bare_id) {
            Some(id) => id,
            None => self.fresh_id(),
        };
        if self.rows(entity.name).iter().any(|row| row["Id"] == id.as_str()) {
            let message = format!("duplicate key value violates unique constraint \"PK{}Id\"", entity.name);
            return exception(500, "Npgsql.PostgresException", &message);
        }
        row.insert("Id".to_owned(), id.into());
        for name in ["CreatedOn", "ModifiedOn"] {
            row.insert(name.to_owned(), stamp(now));
        }
        let is_visit = entity.name == "Activity";
        if is_visit && self.drops_contact {
            row.insert("ContactId".to_owned(), Value::Null);
        }
        let mut view = self.view(entity, &row, Options(&[])).unwrap();
        self.tables.get_mut(entity.name).unwrap().push(row);
        if is_visit {
            self.inserts += 1;
            if self.lies_each > 0 && self.inserts.is_multiple_of(self.lies_each) {
                // The row is there; a handler that runs after it threw.
                let status = if (self.inserts / self.lies_each).is_multiple_of(2) { 200 } else { 500 };
                return exception(status, "Terrasoft.Common.ItemNotFoundException", "Item not found.");
            }
        }
        view.insert("@odata.context".to_owned(), format!("$metadata#{}/$entity", entity.set).into());
        Answer::json(201, &Value::Object(view))
    }

    fn update(&mut self, entity: &Entity, at: usize, values: &Row, now: Timestamp) -> Answer {
        if entity.name == "Activity"
            && let Some(refused) = self.refused_visit()
        {
            return refused;
        }
        let mut taken = match self.accepted(entity, values) {
            Ok(row) => row,
            Err(refused) => return refused,
        };
        taken.remove("Id");
        if entity.name == "Activity" && self.drops_contact {
            taken.remove("ContactId");
        }
        let row = &mut self.tables.get_mut(entity.name).unwrap()[at];
        row.extend(taken);
        row.insert("ModifiedOn".to_owned(), stamp(now));
        Answer::empty(204)
    }

    fn batch(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let body = asked.json().unwrap_or(Value::Null);
        let Some(requests) = body["requests"].as_array() else {
            return exception(400, "Microsoft.OData.ODataException", "The batch has no requests.");
        };
        if requests.len() > 100 {
            return exception(400, "Microsoft.OData.ODataException", "The batch has more than 100 requests.");
        }
        let goes_on = asked.header("prefer").is_some_and(|prefer| prefer.contains("continue-on-error"));
        let mut responses = Vec::new();
        for request in requests {
            let url = request["url"].as_str().unwrap_or_default();
            let url = url.rsplit_once("/odata/").map_or(url, |(_, rest)| rest).trim_start_matches('/');
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
            let inner = Asked {
                method: request["method"].as_str().unwrap_or_default().to_owned(),
                path: decoded.clone(),
                query: super::super::server::form(query),
                headers: Vec::new(),
                body: request["body"].to_string().into_bytes(),
            };
            let kind = request["headers"]["Content-Type"].as_str().unwrap_or_default();
            let answer = if self.strict && kind.contains("odata=verbose") {
                Answer::empty(406)
            } else {
                self.serve(&inner.method, &decoded, &inner.query, &inner, now)
            };
            let mut response = json!({ "id": request["id"], "status": answer.status, "headers": {} });
            if let Ok(body) = serde_json::from_slice::<Value>(&answer.body) {
                response["body"] = body;
            }
            responses.push(response);
            if answer.status >= 400 && !goes_on {
                break;
            }
        }
        Answer::json(200, &json!({ "responses": responses }))
    }
}

impl FakeRecords for FakeCreatio {
    fn raw(&self, record: &str) -> Option<String> {
        let row = self.rows("Activity").iter().find(|row| row["Id"] == record)?;
        Some(Value::Object(row.clone()).to_string())
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        let row = json!({
            "Id": record, "Title": "Замер кухни", "StartDate": stamp(now), "DueDate": stamp(now), "ContactId": contact,
            "ActivityCategoryId": TODO, "StatusId": FINISHED, "Notes": "Просил перезвонить во вторник", "CreatedOn": stamp(now),
            "ModifiedOn": stamp(now),
        });
        self.tables.get_mut("Activity").unwrap().push(row.as_object().cloned().unwrap());
    }

    fn remark(&mut self, _: &str, _: &str) -> bool {
        false
    }
}
