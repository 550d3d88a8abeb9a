//! Visits that are too old to be kept: they leave with their facts, a few at a time.
//!
//! The ledger keeps what a CRM has of them, so that an erasure years later takes it out there too, and the customer's card
//! its sums. When that is done is the keeper's; the pages that become free are used again, and the file is not rewritten.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::delivery::limit;
use super::error::Fault;
use super::rows::micros;
use super::{Store, StoreError};

/// Under way to a CRM, or perhaps there and not known: it must be concluded first. What waits while no CRM was ever
/// configured, what is held, and what was refused, leaves.
const ON_ITS_WAY: &str = "EXISTS (
    SELECT 1 FROM outbox o JOIN targets t ON t.id = o.target WHERE o.visit = visits.id
    AND (o.state = 'sending' OR o.state = 'new' AND t.identity <> '' OR o.state = 'held' AND o.attempts > 0
         OR o.kind = 'correction' AND o.state = 'dead'))";

impl Store {
    /// Removes closed visits that began before `before`, the oldest first and at most `most`, with their facts and
    /// deliveries; returns how many. What the CRMs have of them stays in the ledger, and the card counts them on.
    pub fn retire_visits(&self, before: Timestamp, most: usize) -> Result<usize, StoreError> {
        let due = format!("opened_at < ?1 AND closed_at NOT NULL AND NOT {ON_ITS_WAY}");
        // Nothing to do is the rule; it must not cost a write.
        let any = format!("SELECT EXISTS (SELECT 1 FROM visits WHERE {due})");
        if !self.read(|tx| Ok(tx.query_row(&any, params![micros(before)], |row| row.get::<_, bool>(0))?))? {
            return Ok(0);
        }
        self.write(|tx| {
            tx.execute_batch("CREATE TEMP TABLE IF NOT EXISTS retired (id BLOB PRIMARY KEY); DELETE FROM retired;")?;
            let sql =
                format!("INSERT INTO retired (id) SELECT id FROM visits WHERE {due} ORDER BY opened_at, id LIMIT ?2");
            let retired = tx.execute(&sql, params![micros(before), limit(most)])?;
            keep_sums(tx)?;
            tx.execute_batch(
                "DELETE FROM deliveries WHERE fact IN (SELECT seq FROM facts WHERE visit IN (SELECT id FROM retired));
                 DELETE FROM facts WHERE visit IN (SELECT id FROM retired);
                 DELETE FROM visits WHERE id IN (SELECT id FROM retired);
                 DELETE FROM retired;",
            )?;
            Ok(retired)
        })
    }
}

/// The visits about to go stay in the sums of their customers.
fn keep_sums(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.execute(
        "UPDATE customers SET past_visits = past_visits + sums.visits,
         past_last_visit = max(coalesce(past_last_visit, sums.last), sums.last)
         FROM (SELECT customer, count(*) AS visits, max(opened_at) AS last FROM visits
               WHERE id IN (SELECT id FROM retired) AND verdict <> 'rejected' GROUP BY customer) AS sums
         WHERE customers.id = sums.customer",
        [],
    )?;
    Ok(())
}
