//! Contacts by their e-mail: V8's own search for one makes the server log an SQL error each time.
//!
//! The addresses are a module of their own, which says whether anybody has one; that module does not say who. Only then
//! are the contacts read, once a run, and later those changed since.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::SuiteCrm;
use super::wire::{self, Outcome};
use crate::crm::watermark::Watermark;
use crate::crm::{Failure, FailureClass, Finding};
use crate::vendors::sugar::connector::Api;
use crate::vendors::sugar::shape::{CONTACTS, Row, read_time};

/// Which contacts have, or had, an address; addresses themselves are not kept.
#[derive(Default)]
pub(super) struct Addresses {
    known: BTreeMap<[u8; 8], BTreeSet<String>>,
    read: Option<Watermark>,
}

fn digest(email: &str) -> [u8; 8] {
    let digest = Sha256::digest(email.trim().to_lowercase().as_bytes());
    std::array::from_fn(|at| digest[at])
}

impl SuiteCrm {
    /// Whether anybody has the address; `None` where the addresses cannot be asked (unverified that every release shows
    /// them to a user who is no administrator).
    async fn is_known(&mut self, email: &str) -> Result<Option<bool>, Failure> {
        let query = [
            ("filter[email_address_caps][eq]", &*email.to_uppercase()),
            ("fields[EmailAddresses]", "email_address"),
            ("page[size]", "1"),
            ("page[number]", "1"),
        ];
        match self.get("/module/EmailAddresses", "", &query).await {
            Ok(Outcome::Done(body)) => Ok(Some(!wire::rows(&body)?.0.is_empty())),
            Ok(Outcome::Refused(_)) => Ok(None),
            Err(failure) if failure.class == FailureClass::TenantBlocked => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn by_email(&mut self, email: &str) -> Result<Vec<Row>, Failure> {
        if self.is_known(email).await? == Some(false) {
            return Ok(Vec::new());
        }
        loop {
            let mark = self.addresses.read.unwrap_or(Watermark { since: Timestamp::UNIX_EPOCH, skip: 0 });
            let (rows, more) = self.changed_since(&mark).await?;
            let latest = rows.iter().filter_map(|row| row.text("date_modified")).filter_map(read_time).max();
            for row in &rows {
                for email in &row.emails {
                    self.addresses.known.entry(digest(email)).or_default().insert(row.id.clone());
                }
            }
            let more = more && !rows.is_empty();
            self.addresses.read = Some(mark.after(latest, rows.len() as u64, more));
            if !more {
                break;
            }
        }
        let ids: Vec<String> = self.addresses.known.get(&digest(email)).into_iter().flatten().cloned().collect();
        let columns = self.shape.contact_columns()?;
        self.read(CONTACTS, &ids, &columns).await
    }

    pub(super) async fn addresses_are_shown(&mut self) -> Finding {
        let what = "searching e-mail addresses";
        match self.is_known("nobody@example.invalid").await {
            Ok(Some(_)) => Finding::good(what),
            Ok(None) => Finding::warning(
                what,
                "SuiteCRM does not show its addresses to this client: to find a customer by e-mail all contacts are \
                 read, once after each start",
            ),
            Err(failure) => Finding::missing(what, failure.to_string()),
        }
    }
}
