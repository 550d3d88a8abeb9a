//! SugarCRM by REST v11. STUB

use async_trait::async_trait;

use super::{
    Changes, Contact, ContactId, CrmConnector, CrmSettings, Failure, Finding, Forgotten, Heartbeat, Manners,
    NewContact, RecordId, Seek, SentVisit, Tools, VisitRecord,
};
use crate::customer::CustomerId;

/// The secrets of the login.
pub const SECRETS: &[&str] = &[];

/// `[crm.sugarcrm]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub url: String,
}

/// The connector.
pub struct SugarCrm {}

impl SugarCrm {
    pub fn new(_settings: &Settings, _common: &CrmSettings, _tools: &Tools) -> Result<Self, Failure> {
        Err(Failure::auth("STUB"))
    }
}

#[async_trait]
impl CrmConnector for SugarCrm {
    fn manners(&self) -> Manners {
        unreachable!()
    }
    async fn record(&mut self, _: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        unreachable!()
    }
    async fn reconcile(&mut self, _: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        unreachable!()
    }
    async fn void(&mut self, _: &SentVisit) -> Result<(), Failure> {
        unreachable!()
    }
    async fn forget(&mut self, _: &Forgotten) -> Result<(), Failure> {
        unreachable!()
    }
    async fn find(&mut self, _: &Seek) -> Result<Vec<Contact>, Failure> {
        unreachable!()
    }
    async fn link(&mut self, _: &ContactId, _: CustomerId) -> Result<(), Failure> {
        unreachable!()
    }
    async fn create(&mut self, _: &NewContact) -> Result<ContactId, Failure> {
        unreachable!()
    }
    async fn contact(&mut self, _: &ContactId) -> Result<Option<Contact>, Failure> {
        unreachable!()
    }
    async fn changed(&mut self, _: &str) -> Result<Changes, Failure> {
        unreachable!()
    }
    async fn probe(&mut self) -> Vec<Finding> {
        unreachable!()
    }
    async fn heartbeat(&mut self, _: &Heartbeat) -> Result<bool, Failure> {
        unreachable!()
    }
    fn preview(&self, _: &[VisitRecord]) -> Vec<String> {
        unreachable!()
    }
}
