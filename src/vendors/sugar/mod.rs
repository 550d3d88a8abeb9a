//! SugarCRM, and SuiteCRM, which was once the same program: contacts, and meetings that were held.
//!
//! What the family shares is here: its fields and forms (`shape`), what a connector does with rows (`connector`), what is
//! said to the administrator (`findings`). How rows are asked for and written is each member's own.

mod connector;
mod findings;
mod shape;
pub mod sugarcrm;
pub mod suitecrm;
