//! Whether a visit may be sent now: held while no consent covers it, taken back where one that did has ended.
//!
//! The rule itself is `Consent::check`. Holding is never final: the clock may be mended, the consent renewed.

use rusqlite::{Transaction, params};

use super::delivery::Ask;
use super::error::Fault;
use super::rows::{customer_id, uuid, visit_id};
use super::{consents, outbox};
use crate::clock::Trust;
use crate::customer::{ConsentError, CustomerId, Purpose};

/// What becomes of a visit's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    Held,
    /// Waiting as before.
    New,
    /// The CRM may have it, and is to be told that it does not hold.
    TakenBack,
    /// An amendment of a record that is there no more, or is taken back.
    Moot,
}

/// What must become of a visit that waits, tried so often; `None` where it may be sent.
pub(super) fn verdict(
    tx: &Transaction<'_>,
    ask: &Ask,
    customer: CustomerId,
    attempts: u32,
) -> Result<Option<Becomes>, Fault> {
    let Some(consent) = consents::current(tx, customer)? else { return Ok(Some(Becomes::Held)) };
    let Err(refused) = consent.check(Purpose::VisitRecords, ask.days) else { return Ok(None) };
    // One that has not begun may be a clock that was set back.
    let has_ended = !matches!(refused, ConsentError::InTheFuture { .. }) && ask.trust == Trust::Plausible;
    Ok(Some(if attempts > 0 && has_ended { Becomes::TakenBack } else { Becomes::Held }))
}

/// Those held visits of the target that are not to be held any longer.
pub(super) fn judge(tx: &Transaction<'_>, ask: &Ask) -> Result<Vec<(i64, Becomes)>, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT seq, customer, iif(kind = 'visit', attempts, 0) FROM outbox WHERE target = ?1 AND state = 'held' ORDER BY customer, seq",
    )?;
    let mut rows = statement.query(params![ask.target.0])?;
    let mut changed = Vec::new();
    let mut last: Option<(CustomerId, bool, Option<Becomes>)> = None;
    while let Some(row) = rows.next()? {
        let (customer, attempts): (CustomerId, u32) = (customer_id(row, 1)?, row.get(2)?);
        let tried = attempts > 0;
        let verdict = match last {
            Some((of, then, verdict)) if of == customer && then == tried => verdict,
            _ => verdict(tx, ask, customer, attempts)?,
        };
        last = Some((customer, tried, verdict));
        match verdict {
            None => changed.push((row.get(0)?, Becomes::New)),
            Some(Becomes::TakenBack) => changed.push((row.get(0)?, Becomes::TakenBack)),
            Some(_) => {}
        }
    }
    Ok(changed)
}

pub(super) fn carry_out(tx: &Transaction<'_>, ask: &Ask, fact: i64, becomes: Becomes) -> Result<(), Fault> {
    let state = match becomes {
        Becomes::Held => "held",
        Becomes::New => "new",
        Becomes::TakenBack | Becomes::Moot => "withdrawn",
    };
    tx.execute("UPDATE deliveries SET state = ?3 WHERE fact = ?1 AND target = ?2", params![fact, ask.target.0, state])?;
    if becomes == Becomes::TakenBack {
        let (about, customer, visit) =
            tx.query_row("SELECT id, customer, visit FROM facts WHERE seq = ?1", params![fact], |row| {
                Ok((uuid(row, 0)?, customer_id(row, 1)?, visit_id(row, 2)?))
            })?;
        outbox::put_correction(tx, about, customer, visit, ask.now)?;
    }
    Ok(())
}
