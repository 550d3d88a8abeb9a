//! What an operator should see to although the CRM answers: visits that wait for a person's word, and clocks that differ.
//!
//! That it does not answer, or refuses everything, is the lane's own state in the store.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::crm::MUCH_SKEW;
use crate::store::OutboxStatus;
use crate::trouble::DeliveryTrouble;

/// A customer who came for the first time is looked for in the CRM, or entered there, within this.
const UNLINKED_AFTER: Duration = Duration::from_secs(3600);

/// What is to be seen to now, each with what to do. `skew` is by how much the box's clock is ahead of the CRM's, `other_key`
/// the fingerprint of another company key that was seen there.
pub fn notes(
    status: &OutboxStatus,
    skew: Option<SignedDuration>,
    other_key: Option<&str>,
    now: Timestamp,
) -> Vec<(DeliveryTrouble, String)> {
    let mut notes = Vec::new();
    let is_long = |since: Timestamp| Duration::try_from(now.duration_since(since)).is_ok_and(|t| t >= UNLINKED_AFTER);
    if let Some(since) = status.unlinked_since.filter(|since| is_long(*since)) {
        let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
        notes.push((
            DeliveryTrouble::Unlinked,
            format!("visits wait since {since} for a contact in the CRM; enter the customers there, or set create_contacts in [crm]"),
        ));
    }
    if status.unclear > 0 {
        let what = format!("of {} customers a person must say which contact they are", status.unclear);
        let deleted = match status.deleted {
            0 => String::new(),
            deleted => format!(", of {deleted} because theirs was deleted in the CRM"),
        };
        notes.push((DeliveryTrouble::Unclear, format!("{what}{deleted}; see `snova crm unclear`")));
    }
    if let Some(other) = other_key {
        let what = format!("another store marks contacts with another company key ({other})");
        notes.push((DeliveryTrouble::OtherKey, format!("{what}; see `snova crm company-key`")));
    }
    if let Some(skew) = skew.filter(|skew| skew.abs() > MUCH_SKEW) {
        let side = if skew.is_negative() { "behind" } else { "ahead of" };
        let what = format!("the box's clock is {} minutes {side} the CRM's", skew.abs().as_mins());
        notes.push((DeliveryTrouble::Skew, format!("{what}; let a time server keep it, or set it")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_person_is_said_with_what_to_do_and_nothing_else_is() {
        let at = |second| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let status = |unclear| OutboxStatus { unlinked_since: Some(at(0)), unclear, ..OutboxStatus::default() };
        let kinds = |status, skew, key, now| {
            let notes = notes(&status, skew, key, at(now));
            assert!(notes.iter().all(|(_, said)| said.contains("; ")), "{notes:?}");
            notes.into_iter().map(|(trouble, _)| trouble).collect::<Vec<_>>()
        };
        let minutes = |minutes| Some(SignedDuration::from_mins(minutes));
        assert_eq!(kinds(status(0), minutes(-5), None, 3_599), []);
        assert_eq!(kinds(status(2), minutes(-6), Some("ab12"), 3_600), DeliveryTrouble::ALL);
    }
}
