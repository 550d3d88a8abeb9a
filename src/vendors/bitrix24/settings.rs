//! The keys of `[crm.bitrix24]`, each with what it means to the owner.

use super::{Settings, VisitFields};
use crate::crm::{ContactFields, Keys, key};

pub const ABOUT: &str = "Битрикс24. How the portal is prepared is in docs/crm/bitrix24.md.";

const OAUTH: &str = "https://oauth.bitrix24.tech";

pub fn read(keys: &mut dyn Keys) -> Option<Settings> {
    let about = "The portal's address, without the webhook: that is a secret, given by `snova crm secret crm/bitrix24/webhook`.";
    let url = keys.address(key("url", "https://shop.bitrix24.ru", about));
    if url.as_deref().is_some_and(|url| url.contains("/rest")) {
        let what = "the webhook is a secret and does not belong here; give the portal's address, and the webhook by \
                    `snova crm secret crm/bitrix24/webhook`";
        keys.fault(&["url"], what);
    }
    let about = "For an application that logs in by OAuth instead: its id, and where its tokens are exchanged. Its secrets are \
                 crm/bitrix24/client-secret and crm/bitrix24/refresh-token. Without client_id the webhook is the login; oauth_url \
                 is that of Битрикс24 unless said otherwise.";
    let client_id = keys.word(key("client_id", "local.5f1c2a3b4d5e67.01234567", about));
    let oauth_url = keys.optional_address(key("oauth_url", OAUTH, "")).unwrap_or_else(|| OAUTH.to_owned());
    let number = |keys: &mut dyn Keys, key| Some(keys.whole(key, 0, 0..=1_000_000)).filter(|number| *number > 0);
    let about = "The entityTypeId of the smart process of visits, and of the one with an element for each box, for signs of \
                 life. 0, or left out: visits are comments in the contact's timeline, and no box gives signs of life.";
    let visit_type_id = number(keys, key("visit_type_id", "1046", about));
    let device_type_id = number(keys, key("device_type_id", "1050", ""));
    let about = "What the smart process of visits calls its fields; either spelling of a name does, UF_CRM_5_AT or ufCrm5At. at is \
                 needed with visit_type_id; each other one is left out where the portal does not keep it.";
    let (mut visit, mut how) = (VisitFields::default(), None);
    keys.within(key("visit", "", about), &mut |own| {
        visit = VisitFields {
            at: own.word(key("at", "UF_CRM_5_AT", "")),
            until: own.word(key("until", "UF_CRM_5_UNTIL", "")),
            counter: own.word(key("counter", "UF_CRM_5_COUNTER", "")),
            void: own.word(key("void", "UF_CRM_5_VOID", "")),
        };
        // Where version 0.3.0 had it.
        how = own.word(key("how", "UF_CRM_5_HOW", ""));
    });
    if visit_type_id.is_some() && visit.at.is_none() {
        let what = "needs the field of the visit's time; name it as at in [crm.bitrix24.visit]";
        keys.fault(&["visit_type_id"], what);
    }
    let defaults = ContactFields {
        patronymic: Some("secondName".to_owned()),
        notes: Some("comments".to_owned()),
        birthday: Some("birthdate".to_owned()),
        ..ContactFields::default()
    };
    let about = "What the portal calls these fields of contacts. patronymic, notes and birthday have the names shown here unless \
                 said otherwise; an empty name is a value that is not kept. external_id holds Snova's mark; without it that is in \
                 originatorId and originId, which must then be no other program's.";
    let shown = [
        "UF_CRM_SNOVA",
        "secondName",
        "UF_CRM_TIER",
        "comments",
        "UF_CRM_OFFER",
        "birthdate",
        "UF_CRM_VISITS",
        "UF_CRM_LAST_VISIT",
    ];
    let fields = keys.contact_fields(about, &defaults, shown);
    let told = keys.told_fields([
        "UF_CRM_SNOVA_FIRST",
        "UF_CRM_SNOVA_LAST",
        "UF_CRM_SNOVA_LATE",
        "UF_CRM_SNOVA_CONSENT",
        "UF_CRM_SNOVA_UNTIL",
        "UF_CRM_SNOVA_SOURCE",
        "UF_CRM_SNOVA_V30",
        "UF_CRM_SNOVA_V90",
        "UF_CRM_SNOVA_HOME",
    ]);
    let mut record = keys.record_fields([
        "UF_CRM_5_SNOVA_STORE",
        "UF_CRM_5_SNOVA_COUNTER",
        "",
        "UF_CRM_5_SNOVA_SERVED",
        "UF_CRM_5_SNOVA_RECEIPT",
        "UF_CRM_5_SNOVA_SUM",
        "UF_CRM_5_SNOVA_GREETING",
    ]);
    record.how = record.how.or(how);
    Some(Settings { url: url?, client_id, oauth_url, visit_type_id, visit, device_type_id, fields, told, record })
}
