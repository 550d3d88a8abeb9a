//! The words of the people side: who a customer is, what they agreed to, and what the system decided.
//!
//! Where they are kept is `crate::store`'s; how they are addressed aloud is `crate::greeting`'s.

mod card;
mod consent;
mod decision;
mod id;
mod identifier;
mod name;
mod receipt;
mod word;

pub use card::{Card, CrmCard, Customer};
pub use consent::{Consent, ConsentError, ConsentMethod, Purpose};
pub use decision::{Candidate, Decision, Sighting, TrackId};
pub use id::{CustomerId, VisitId};
pub use identifier::{Country, Identifier, IdentifierError, IdentifierKind, parse_entry};
pub use name::{FormOfAddress, Gender, NameError, PersonName};
pub use receipt::{Receipt, ReceiptError};
pub use word::{HowKnown, Verdict};
