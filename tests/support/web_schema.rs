//! Checks a JSON value against a schema of the OpenAPI document, strictly: nothing missing, nothing extra.

use serde_json::Value;

/// The differences between `value` and `schema`; empty when it fits.
pub fn differences(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(document, schema, value, "$", &mut found);
    found
}

fn compare(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        let target = target.unwrap_or_else(|| panic!("{at}: the document has no {reference}"));
        return compare(document, target, value, at, found);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &Value| differences(document, choice, value).is_empty();
        if !choices.iter().any(fits) {
            found.push(format!("{at}: {value} fits none of {}", schema["oneOf"]));
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => panic!("{at}: the schema has no type: {schema}"),
    };
    if !types.contains(&kind(value)) {
        found.push(format!("{at}: {value} is not {types:?}"));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        found.push(format!("{at}: {value} is not one of {allowed:?}"));
    }
    match value {
        Value::Object(fields) => {
            for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(required) {
                    found.push(format!("{at}: no {required}"));
                }
            }
            for (name, field) in fields {
                match schema["properties"].get(name) {
                    Some(inner) => compare(document, inner, field, &format!("{at}.{name}"), found),
                    None => found.push(format!("{at}: {name} is not in the document")),
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                compare(document, &schema["items"], item, &format!("{at}[{i}]"), found);
            }
        }
        Value::String(text) => match schema["format"].as_str() {
            Some("date-time") if text.parse::<jiff::Timestamp>().is_err() => {
                found.push(format!("{at}: {text} is no time"));
            }
            Some("uuid") if text.parse::<uuid::Uuid>().is_err() => found.push(format!("{at}: {text} is no UUID")),
            _ => {}
        },
        _ => {}
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
