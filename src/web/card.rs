//! The facts beside the greeting as a cashier may see them: the box's own and those of the company's CRM.
//!
//! What is due today is reckoned here, so that no date of birth and no age ever leaves the box.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::WebParts;
use super::view::wire_time;
use crate::customer::{Card, CrmCard};

/// A birthday is told from a week before.
const BIRTHDAY_NEAR: u16 = 7;
/// Longer texts of a CRM cannot be read in passing; what is left out is marked by "…".
const SHORT_TEXT: usize = 60;
const LONG_TEXT: usize = 160;

/// The facts beside the greeting.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardView {
    #[schema(example = "Золотая карта")]
    pub tier: Option<String>,
    /// What the customer asked the shop to remember.
    #[schema(example = "берёт без сахара")]
    pub note: Option<String>,
    /// Visits of this shop before this one.
    pub visits: u32,
    /// The last visit before this one, in whatever store.
    #[schema(format = DateTime)]
    pub last_visit: Option<String>,
    /// What the company's CRM says, once it was asked.
    pub crm: Option<CrmCardView>,
}

/// The part of a card that only the CRM knows.
#[derive(Debug, Serialize, ToSchema)]
pub struct CrmCardView {
    /// Visits in all stores, this shop's among them; never fewer than these.
    pub visits: Option<u32>,
    /// Who of the company looks after them.
    #[schema(example = "Мария Коваль")]
    pub owner: Option<String>,
    /// Something to suggest. It is shown, never booked.
    #[schema(example = "вторая чашка за полцены")]
    pub offer: Option<String>,
    /// Days to the next birthday: 0 on the day itself, `null` while it is more than 7 days off or unknown.
    pub birthday_in_days: Option<u16>,
    /// When the CRM was last heard of this customer.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// Whether that is so long ago that the cashier should know.
    pub stale: bool,
}

/// The day on which cards are shown.
pub struct Today {
    now: Timestamp,
    date: Date,
    stale_after: Duration,
}

impl Today {
    pub fn of(parts: &WebParts) -> Self {
        let now = parts.clock.wall().at;
        Self { now, date: now.to_zoned(parts.time_zone.clone()).date(), stale_after: parts.stale_after }
    }
}

impl CardView {
    pub fn of(card: &Card, today: &Today) -> Self {
        let elsewhere = card.crm.as_ref().and_then(|crm| crm.last_visit);
        Self {
            tier: card.tier.as_deref().and_then(|tier| shown(tier, SHORT_TEXT)),
            note: card.note.as_deref().and_then(|note| shown(note, LONG_TEXT)),
            visits: card.visits,
            last_visit: card.last_visit.max(elsewhere).map(wire_time),
            crm: card.crm.as_ref().map(|crm| CrmCardView::of(crm, card.visits, today)),
        }
    }
}

impl CrmCardView {
    fn of(crm: &CrmCard, here: u32, today: &Today) -> Self {
        let age = Duration::try_from(today.now.duration_since(crm.as_of)).unwrap_or_default();
        Self {
            // The CRM may not have heard of the latest visits here.
            visits: crm.visits.map(|all| all.max(here)),
            owner: crm.owner.as_deref().and_then(|owner| shown(owner, SHORT_TEXT)),
            offer: crm.offer.as_deref().and_then(|offer| shown(offer, LONG_TEXT)),
            birthday_in_days: crm.days_to_birthday(today.date).filter(|days| *days <= BIRTHDAY_NEAR),
            as_of: wire_time(crm.as_of),
            stale: age > today.stale_after,
        }
    }
}

/// A text of whatever length and shape as one line of at most `most` characters.
fn shown(text: &str, most: usize) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((cut, _)) = line.char_indices().nth(most) else { return Some(line).filter(|line| !line.is_empty()) };
    let kept = &line[..cut];
    // At the end of a word, unless the words are very long.
    let kept = kept.rsplit_once(' ').map_or(kept, |(words, _)| if words.len() * 2 > kept.len() { words } else { kept });
    Some(format!("{}…", kept.trim_end_matches(|c: char| c.is_whitespace() || ",.;:—-".contains(c))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> Today {
        let now: Timestamp = "2026-05-12T11:07:00Z".parse().unwrap();
        Today { now, date: Date::constant(2026, 5, 12), stale_after: Duration::from_secs(24 * 3600) }
    }

    fn crm(change: impl FnOnce(&mut CrmCard)) -> CrmCardView {
        let mut crm = CrmCard { as_of: today().now, ..CrmCard::default() };
        change(&mut crm);
        CrmCardView::of(&crm, 3, &today())
    }

    #[test]
    fn a_birthday_is_told_within_a_week_as_days_alone() {
        for (born, days) in [
            ((1961, 5, 12), Some(0)),
            ((2001, 5, 13), Some(1)),
            ((1999, 5, 19), Some(7)),
            ((1999, 5, 20), None),
            ((1999, 5, 11), None),
        ] {
            let view = crm(|crm| crm.birthday = Some(Date::constant(born.0, born.1, born.2)));
            assert_eq!(view.birthday_in_days, days, "{born:?}");
            let wire = serde_json::to_string(&view).unwrap();
            assert!(!wire.contains(&born.0.to_string()), "{wire}");
        }
    }

    #[test]
    fn a_card_is_old_once_its_limit_is_over() {
        let aged = |at: &str| crm(|crm| crm.as_of = at.parse().unwrap()).stale;
        assert!(!aged("2026-05-11T11:07:00Z"));
        assert!(aged("2026-05-11T11:06:59Z"));
        assert!(!aged("2026-05-13T00:00:00Z"), "a clock that was set back makes no card old");
    }

    #[test]
    fn what_box_and_crm_both_count_is_told_as_the_one_that_knows_more() {
        assert_eq!(crm(|crm| crm.visits = Some(12)).visits, Some(12));
        assert_eq!(crm(|crm| crm.visits = Some(2)).visits, Some(3));
        assert_eq!(crm(|_| {}).visits, None);
        let at = |time: &str| time.parse::<Timestamp>().ok();
        let last = |own, others| {
            let crm = CrmCard { last_visit: others, as_of: today().now, ..CrmCard::default() };
            CardView::of(&Card { last_visit: own, crm: Some(crm), ..Card::default() }, &today()).last_visit
        };
        let (older, newer) = (at("2026-05-01T09:00:00Z"), at("2026-05-09T09:00:00Z"));
        for (own, others) in [(older, newer), (newer, older), (None, newer), (newer, None)] {
            assert_eq!(last(own, others).as_deref(), Some("2026-05-09T09:00:00Z"));
        }
        assert_eq!(last(None, None), None);
    }

    #[test]
    fn long_texts_end_at_a_word_and_say_that_they_go_on() {
        assert_eq!(shown("берёт \n без\tсахара ", 80).as_deref(), Some("берёт без сахара"));
        assert_eq!(shown(" \n", 80), None);
        assert_eq!(shown("один два, три", 9).as_deref(), Some("один два…"));
        assert_eq!(shown(&"а".repeat(81), 80), Some(format!("{}…", "а".repeat(80))));
        assert_eq!(shown(&"а".repeat(80), 80), Some("а".repeat(80)));
    }
}
