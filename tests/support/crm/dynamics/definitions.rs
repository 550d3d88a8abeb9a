//! What Dataverse says about its tables, and about its users' rights.

use serde_json::{Value, json};

use super::super::odata::{self, Entity, Kind, Options};
use super::super::{Answer, Asked};
use super::{ENTITIES, FakeDynamics, KEYS, TENANT, error};

fn metadata_id(entity: &Entity) -> String {
    let at = ENTITIES.iter().position(|other| other.name == entity.name).unwrap();
    uuid::Uuid::from_u128((0xde << 120) | at as u128).to_string()
}

/// Capitals at the beginning, as the tables' makers wrote them.
fn schema_name(name: &str) -> String {
    let (prefix, rest) = name.split_once('_').map_or(("", name), |(prefix, rest)| (prefix, rest));
    let mut letters = rest.chars();
    let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    if prefix.is_empty() { capital } else { format!("{prefix}_{capital}") }
}

impl FakeDynamics {
    /// Where the login is, as Microsoft's own library asks before it logs in.
    pub(super) fn addresses() -> Answer {
        let base = format!("https://login.microsoftonline.com/{TENANT}");
        Answer::json(
            200,
            &json!({
                "token_endpoint": format!("{base}/oauth2/v2.0/token"), "issuer": format!("{base}/v2.0"),
                "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            }),
        )
    }

    fn definition(&self, entity: &Entity) -> Value {
        let name = match entity.name {
            "contact" | "systemuser" => "fullname",
            "task" => "subject",
            "account" => "name",
            "new_snovadevice" => "new_device",
            "organization" => "languagecode",
            _ => "new_name",
        };
        json!({
            "MetadataId": metadata_id(entity), "LogicalName": entity.name, "SchemaName": schema_name(entity.name),
            "EntitySetName": entity.set, "PrimaryIdAttribute": entity.key, "PrimaryNameAttribute": name,
            "ChangeTrackingEnabled": entity.name == "contact" && self.tracks, "IsPrivate": false,
        })
    }

    fn attributes(entity: &Entity) -> Vec<Value> {
        let attribute = |(name, kind): &(&str, Kind)| {
            // A lookup's id is shown under another name than the column's own.
            let own = name.strip_prefix('_').and_then(|name| name.strip_suffix("_value")).unwrap_or(name);
            let kind = match kind {
                Kind::Text => "String",
                Kind::Guid if own == *name => "Uniqueidentifier",
                Kind::Guid => "Lookup",
                Kind::Time | Kind::Date => "DateTime",
                Kind::Whole => "Integer",
                Kind::Decimal => "Decimal",
                Kind::Flag => "Boolean",
            };
            json!({ "MetadataId": uuid::Uuid::nil(), "LogicalName": own, "SchemaName": schema_name(own), "AttributeType": kind })
        };
        entity.columns.iter().map(attribute).collect()
    }

    fn keys(&self, entity: &Entity) -> Vec<Value> {
        let own = KEYS.iter().filter(|(name, _)| *name == entity.name);
        own.map(|(_, column)| {
            json!({
                "MetadataId": uuid::Uuid::nil(), "SchemaName": schema_name(column), "LogicalName": format!("{column}_key"),
                "KeyAttributes": [column], "EntityKeyIndexStatus": self.key_status,
            })
        })
        .collect()
    }

    pub(super) fn definitions(&mut self, rest: &str, asked: &Asked) -> Answer {
        let options = Options(&asked.query);
        let Some(inner) = rest.strip_prefix("EntityDefinitions(") else {
            let kind = |path: &str| match path {
                "IsPrivate" => Ok(Kind::Flag),
                "MetadataId" => Ok(Kind::Guid),
                _ => Ok(Kind::Text),
            };
            let filter = match options.get("$filter").map(|text| odata::filter(text, &kind)).transpose() {
                Ok(filter) => filter,
                Err(message) => return error(400, "0x80060888", &message),
            };
            let all: Vec<Value> = ENTITIES
                .iter()
                .map(|entity| self.definition(entity))
                .filter(|row| filter.as_ref().is_none_or(|filter| filter.holds(&|path| row[path].clone())))
                .collect();
            return Answer::json(200, &json!({ "@odata.context": "$metadata#EntityDefinitions", "value": all }));
        };
        let (key, tail) = inner.split_once(')').unwrap_or((inner, ""));
        let name = key.strip_prefix("LogicalName='").and_then(|name| name.strip_suffix('\''));
        let found = self.described.find(|entity| Some(entity.name) == name || metadata_id(entity) == key);
        let Some(entity) = found else {
            return error(404, "0x80060888", "Could not find an entity with the specified name.");
        };
        match tail.trim_start_matches('/') {
            "" => {
                let mut body = self.definition(entity);
                let expand = options.get("$expand").unwrap_or_default();
                if expand.contains("Attributes") {
                    body["Attributes"] = Self::attributes(entity).into();
                }
                if expand.contains("Keys") {
                    body["Keys"] = self.keys(entity).into();
                }
                if expand.contains("ManyToOneRelationships") {
                    let link = |link: &odata::Link| json!({ "ReferencingEntityNavigationPropertyName": link.nav, "ReferencedEntity": link.to });
                    body["ManyToOneRelationships"] = entity.links.iter().map(link).collect();
                }
                Answer::json(200, &body)
            }
            "Attributes" if asked.method == "POST" => self.make(entity, asked),
            tail if tail.ends_with("StringAttributeMetadata") => Answer::json(200, &json!({ "MaxLength": 250 })),
            "Attributes" => Answer::json(200, &json!({ "value": Self::attributes(entity) })),
            "Keys" => Answer::json(200, &json!({ "value": self.keys(entity) })),
            _ => Answer::json(200, &json!({ "value": [] })),
        }
    }

    /// A column is made under its schema name, whose small letters are its logical one; its label needs a language that is there.
    fn make(&mut self, entity: &Entity, asked: &Asked) -> Answer {
        if !self.may_customise {
            return error(403, "0x80040220", "Principal user is missing prvCreateAttribute privilege.");
        }
        let body = asked.json().unwrap_or(Value::Null);
        let name = body["SchemaName"].as_str().unwrap_or_default().to_lowercase();
        let kind = match (body["@odata.type"].as_str().unwrap_or_default(), body["Format"].as_str()) {
            ("Microsoft.Dynamics.CRM.StringAttributeMetadata", _) if body["MaxLength"].is_u64() => Kind::Text,
            ("Microsoft.Dynamics.CRM.DateTimeAttributeMetadata", Some("DateOnly")) => Kind::Date,
            ("Microsoft.Dynamics.CRM.DateTimeAttributeMetadata", _) => Kind::Time,
            ("Microsoft.Dynamics.CRM.IntegerAttributeMetadata", _) => Kind::Whole,
            ("Microsoft.Dynamics.CRM.DecimalAttributeMetadata", _) => Kind::Decimal,
            _ => return error(400, "0x80048d19", "Error identified in Payload provided by the user."),
        };
        if entity.kind(&name).is_some() {
            return error(400, "0x80044363", &format!("An attribute with the specified name {name} already exists."));
        }
        if !name.contains('_') || body["DisplayName"]["LocalizedLabels"][0]["LanguageCode"] != 1049 {
            return error(400, "0x80044152", "The label has no text in the base language.");
        }
        self.described.add(entity.name, &name, kind);
        Answer::empty(204)
    }

    /// The app's user has every right of the whole organisation.
    pub(super) fn privilege(&self, function: &str) -> Answer {
        let name = function.split('\'').nth(1).unwrap_or_default();
        Answer::json(
            200,
            &json!({ "RolePrivileges": [{ "Depth": "Global", "PrivilegeName": name, "PrivilegeId": uuid::Uuid::nil() }] }),
        )
    }
}
