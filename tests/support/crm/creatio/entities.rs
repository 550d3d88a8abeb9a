//! The tables of the fake of Creatio, with their columns and lookups.

use super::super::odata::{Entity, Kind, Link};

const CONTACT_LINK: Link = Link { nav: "Contact", column: "ContactId", to: "Contact" };
const OWNER_LINK: Link = Link { nav: "Owner", column: "OwnerId", to: "Contact" };

const LIST: &[(&str, Kind)] =
    &[("Id", Kind::Guid), ("Name", Kind::Text), ("CreatedOn", Kind::Time), ("ModifiedOn", Kind::Time)];

pub const ENTITIES: &[Entity] = &[
    Entity {
        name: "Contact",
        set: "Contact",
        key: "Id",
        columns: &[
            ("Id", Kind::Guid),
            ("Name", Kind::Text),
            ("GivenName", Kind::Text),
            ("Surname", Kind::Text),
            ("MiddleName", Kind::Text),
            ("MobilePhone", Kind::Text),
            ("Phone", Kind::Text),
            ("HomePhone", Kind::Text),
            ("Email", Kind::Text),
            ("Notes", Kind::Text),
            ("BirthDate", Kind::Time),
            ("OwnerId", Kind::Guid),
            ("UsrSnovaCustomer", Kind::Text),
            ("UsrPhoneE164", Kind::Text),
            ("UsrTier", Kind::Text),
            ("UsrOffer", Kind::Text),
            ("UsrVisits", Kind::Whole),
            ("CreatedOn", Kind::Time),
            ("ModifiedOn", Kind::Time),
        ],
        links: &[OWNER_LINK],
    },
    Entity {
        name: "Activity",
        set: "Activity",
        key: "Id",
        columns: &[
            ("Id", Kind::Guid),
            ("Title", Kind::Text),
            ("StartDate", Kind::Time),
            ("DueDate", Kind::Time),
            ("ContactId", Kind::Guid),
            ("OwnerId", Kind::Guid),
            ("ActivityCategoryId", Kind::Guid),
            ("StatusId", Kind::Guid),
            ("Notes", Kind::Text),
            ("CreatedOn", Kind::Time),
            ("ModifiedOn", Kind::Time),
        ],
        links: &[
            CONTACT_LINK,
            OWNER_LINK,
            Link { nav: "ActivityCategory", column: "ActivityCategoryId", to: "ActivityCategory" },
            Link { nav: "Status", column: "StatusId", to: "ActivityStatus" },
        ],
    },
    Entity { name: "ActivityStatus", set: "ActivityStatus", key: "Id", columns: LIST, links: &[] },
    Entity { name: "ActivityCategory", set: "ActivityCategory", key: "Id", columns: LIST, links: &[] },
    Entity { name: "Account", set: "Account", key: "Id", columns: LIST, links: &[] },
    Entity {
        name: "UsrSnovaDevice",
        set: "UsrSnovaDevice",
        key: "Id",
        columns: &[
            ("Id", Kind::Guid),
            ("UsrName", Kind::Text),
            ("UsrVersion", Kind::Text),
            ("UsrSeenAt", Kind::Time),
            ("UsrOutboxDepth", Kind::Whole),
            ("UsrOutboxAgeS", Kind::Whole),
            ("UsrOutboxDead", Kind::Whole),
            ("UsrCamerasLost", Kind::Text),
            ("CreatedOn", Kind::Time),
            ("ModifiedOn", Kind::Time),
        ],
        links: &[],
    },
];
