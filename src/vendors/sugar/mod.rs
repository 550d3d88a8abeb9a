//! SugarCRM, and SuiteCRM, which was once the same program.

pub mod sugarcrm;
pub mod suitecrm;
