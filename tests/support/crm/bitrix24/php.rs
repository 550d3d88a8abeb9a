//! Values as PHP reads them: `fields[title]=x` is a map, `values[]=x` a list, and an empty map a list on its way out.

use serde_json::{Map, Value, json};

use crate::crm::server::{Asked, form};

/// The values of a request: its query, and its body as JSON or form.
pub fn params(asked: &Asked) -> Value {
    let mut all = nested(&asked.query);
    let body = match asked.json() {
        Some(body) => body,
        None => nested(&asked.form()),
    };
    if let (Value::Object(all), Value::Object(body)) = (&mut all, body) {
        all.extend(body);
    }
    listed(all)
}

/// A command's method and values.
pub fn command(text: &str) -> (String, Value) {
    let (method, query) = text.split_once('?').unwrap_or((text, ""));
    (method.to_owned(), listed(nested(&form(query))))
}

fn nested(pairs: &[(String, String)]) -> Value {
    let mut all = json!({});
    for (name, value) in pairs {
        let (head, rest) = name.split_once('[').unwrap_or((name, ""));
        let keys = rest.split('[').map(|key| key.trim_end_matches(']')).filter(|_| !rest.is_empty());
        let mut place = all.as_object_mut().unwrap().entry(head).or_insert(Value::Null);
        for key in keys {
            if !place.is_object() {
                *place = json!({});
            }
            let map = place.as_object_mut().unwrap();
            let key = if key.is_empty() { map.len().to_string() } else { key.to_owned() };
            place = map.entry(key).or_insert(Value::Null);
        }
        *place = value.as_str().into();
    }
    all
}

/// Maps whose keys are 0, 1, 2 … are lists.
fn listed(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: Map<String, Value> = map.into_iter().map(|(key, value)| (key, listed(value))).collect();
            let is_list = !map.is_empty() && (0..map.len()).all(|at| map.contains_key(&at.to_string()));
            if is_list { (0..map.len()).map(|at| map[&at.to_string()].clone()).collect() } else { Value::Object(map) }
        }
        Value::Array(values) => values.into_iter().map(listed).collect(),
        other => other,
    }
}

/// As PHP's json_encode writes a map.
pub fn map(map: Map<String, Value>) -> Value {
    if map.is_empty() { json!([]) } else { Value::Object(map) }
}

pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "1" } else { "" }.to_owned(),
        other => other.to_string(),
    }
}

pub fn number(value: &Value) -> Option<i64> {
    text(value).parse().ok()
}

/// Elements of a list, or the one value that stands instead of it.
pub fn many(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        Value::Object(values) => values.values().cloned().collect(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}
