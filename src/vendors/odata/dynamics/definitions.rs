//! What a Dynamics environment says of its tables, and the columns that it is told to make for what Snova can fill.

use serde_json::{Value, json};

use super::{Dynamics, prefix};
use crate::crm::{Failure, Finding, Request};
use crate::vendors::odata::prepare::{self, Wanted};
use crate::vendors::odata::rows::Holds;
use crate::vendors::odata::wire;
use crate::vendors::odata::{Dialect, MARK_CHARS};

/// A table with its columns and keys.
pub(super) async fn describe(org: &mut Dynamics, entity: &str) -> Result<Value, Failure> {
    let expand = "Attributes($select=LogicalName),Keys($select=KeyAttributes,EntityKeyIndexStatus),\
                  ManyToOneRelationships($select=ReferencingEntityNavigationPropertyName)";
    let options = [("$select", "LogicalName,EntitySetName,ChangeTrackingEnabled"), ("$expand", expand)];
    org.get(&format!("EntityDefinitions(LogicalName='{entity}')"), &options).await
}

pub(super) fn has(table: &Value, name: &str) -> bool {
    let all = table["Attributes"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().any(|attribute| attribute["LogicalName"] == name)
}

/// The logical name of the table of visits.
pub(super) fn visits(org: &Dynamics) -> String {
    org.own.settings.visit.as_ref().map_or("task", |table| &table.entity).to_owned()
}

pub(super) async fn prepare(org: &mut Dynamics) -> Vec<Finding> {
    let external = org.own.words().fields.external_id.clone().unwrap_or_else(|| "new_snovacustomer".to_owned());
    let own = prefix(&external).to_owned();
    let (told, record) = prepare::all(org.own.words(), |key| format!("{own}_snova{}", key.replace('_', "")));
    let language = match org.get("organizations", &[("$select", "languagecode")]).await {
        Ok(body) => body["value"][0]["languagecode"].as_i64().unwrap_or(1033),
        Err(_) => 1033,
    };
    let mark = Wanted { key: "external_id", holds: Holds::Text, name: external };
    let mut found = Vec::new();
    for (entity, columns) in [
        ("contact".to_owned(), std::iter::once(&mark).chain(&told).collect::<Vec<_>>()),
        (visits(org), record.iter().collect()),
    ] {
        let table = match describe(org, &entity).await {
            Ok(table) => table,
            Err(failure) => {
                found.push(Finding::missing(format!("the table {entity}"), failure.to_string()));
                continue;
            }
        };
        for column in columns {
            let what = format!("the column {} of {entity}", column.name);
            if has(&table, &column.name) {
                found.push(Finding::good(format!("{what} is there")));
                continue;
            }
            found.push(match make(org, &entity, column, language).await {
                Ok(()) => Finding::good(format!("{what} was made")),
                Err(failure) => {
                    let remedy = format!("make {} of this name by hand ({failure})", prepare::kind(column.holds));
                    Finding::warning(what, remedy)
                }
            });
        }
    }
    found.push(prepare::configuration(&org.own, &told, &record));
    found
}

async fn make(org: &mut Dynamics, entity: &str, column: &Wanted, language: i64) -> Result<(), Failure> {
    let label = format!("Snova: {}", column.key.replace('_', " "));
    let label = json!({
        "@odata.type": "Microsoft.Dynamics.CRM.Label",
        "LocalizedLabels": [{ "@odata.type": "Microsoft.Dynamics.CRM.LocalizedLabel", "Label": label, "LanguageCode": language }],
    });
    let (kind, more) = match column.holds {
        Holds::Text => ("String", json!({ "MaxLength": MARK_CHARS, "FormatName": { "Value": "Text" } })),
        Holds::Time => ("DateTime", json!({ "Format": "DateAndTime", "DateTimeBehavior": { "Value": "UserLocal" } })),
        Holds::Day => ("DateTime", json!({ "Format": "DateOnly", "DateTimeBehavior": { "Value": "DateOnly" } })),
        Holds::Whole => ("Integer", json!({ "Format": "None", "MinValue": 0, "MaxValue": 1_000_000 })),
        Holds::Decimal => ("Decimal", json!({ "Precision": 2 })),
    };
    let mut body = json!({
        "@odata.type": format!("Microsoft.Dynamics.CRM.{kind}AttributeMetadata"),
        "AttributeType": kind,
        "AttributeTypeName": { "Value": format!("{kind}Type") },
        "SchemaName": column.name,
        "RequiredLevel": { "Value": "None" },
        "DisplayName": label,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let build =
        |base: &str| Request::post(format!("{base}/EntityDefinitions(LogicalName='{entity}')/Attributes")).json(&body);
    let reply = org.call(build).await?;
    wire::read("Dynamics", &reply, &*org.tools.clock).map(|_| ())
}
