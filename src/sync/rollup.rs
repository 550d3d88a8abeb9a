//! What a contact's visits come to: first, last, how many of late, in which store most, and whether they are overdue.
//!
//! All of it is counted over the CRM's own records, whichever box wrote them, so that it may be counted anew at any time
//! and by any box. Writing it is `told`'s.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::crm::{Standing, Told};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The windows of the counts, in days.
const MONTH: i32 = 30;
const QUARTER: i32 = 90;
/// Visits on so many different days make a rhythm.
const LEAST_DAYS: usize = 4;
/// Whoever stays away for so many times their usual gap is late.
const GAPS: i32 = 2;
/// Nobody is late before so many days.
const LEAST_LATE: i32 = 7;

/// What the records come to, and when that changes by itself if nothing happens.
pub(super) struct RollUp {
    pub told: Told,
    pub again: Option<Timestamp>,
}

/// Counts `standing`, all records of one contact, at `now`. `there` is what stands on the contact already: an earlier first
/// or a later last visit of the company's own is kept, unless it is that of a visit which was taken back or, among
/// `removed`, forgotten. Consent and source are not counted: they are as `there`.
pub(super) fn roll_up(
    there: &Told,
    standing: &[Standing],
    removed: &[Timestamp],
    now: Timestamp,
    zone: &TimeZone,
) -> RollUp {
    let mut live: Vec<&Standing> = standing.iter().filter(|record| !record.void).collect();
    live.sort_by_key(|record| (record.opened_at, record.key));
    let void = standing.iter().filter(|record| record.void).map(|record| record.opened_at);
    let taken_back: Vec<i64> = void.chain(removed.iter().copied()).map(Timestamp::as_second).collect();
    let kept = |at: Option<Timestamp>| at.filter(|at| !taken_back.contains(&at.as_second()));
    let (first, last) = (live.first().map(|record| record.opened_at), live.last().map(|record| record.opened_at));
    let since = |days: i32| now.checked_sub(DAY * days).unwrap_or(Timestamp::MIN);
    let within = |days| live.iter().filter(move |record| record.opened_at > since(days));
    let late_from = late_from(&live, zone);
    let today = now.to_zoned(zone.clone()).date();
    let told = Told {
        first_visit: [kept(there.first_visit), first].into_iter().flatten().min(),
        last_visit: [kept(there.last_visit), last].into_iter().flatten().max(),
        late_since: late_from.filter(|from| *from <= today),
        visits_30: Some(u32::try_from(within(MONTH).count()).unwrap_or(u32::MAX)),
        visits_90: Some(u32::try_from(within(QUARTER).count()).unwrap_or(u32::MAX)),
        home_store: home_store(within(QUARTER).copied()),
        ..there.clone()
    };
    // A count falls when its oldest visit leaves the window; somebody becomes late when their day comes.
    let leaves = |days: i32| within(days).next().and_then(|oldest| oldest.opened_at.checked_add(DAY * days).ok());
    let becomes_late = late_from.filter(|from| *from > today).and_then(|from| midnight(from, zone));
    RollUp { told, again: [leaves(MONTH), leaves(QUARTER), becomes_late].into_iter().flatten().min() }
}

/// The store of most of these visits; of two alike the one visited last.
fn home_store<'a>(visits: impl Iterator<Item = &'a Standing>) -> Option<String> {
    let mut stores: BTreeMap<&str, (usize, Timestamp)> = BTreeMap::new();
    for (store, at) in visits.filter_map(|visit| Some((visit.store.as_deref()?, visit.opened_at))) {
        let (count, latest) = stores.entry(store).or_insert((0, at));
        *count += 1;
        *latest = at.max(*latest);
    }
    stores.into_iter().max_by_key(|(_, rank)| *rank).map(|(store, _)| store.to_owned())
}

/// From which day on somebody is later than their own rhythm lets expect: twice the median gap between the days of their
/// last visits. `None` where there is no rhythm yet.
fn late_from(live: &[&Standing], zone: &TimeZone) -> Option<Date> {
    let mut days: Vec<Date> = live.iter().map(|record| record.opened_at.to_zoned(zone.clone()).date()).collect();
    days.dedup();
    if days.len() < LEAST_DAYS {
        return None;
    }
    let recent = &days[days.len().saturating_sub(13)..];
    let mut gaps: Vec<i32> =
        recent.windows(2).filter_map(|pair| pair[0].until(pair[1]).ok()).map(|gap| gap.get_days()).collect();
    gaps.sort_unstable();
    let usual = gaps.get(gaps.len() / 2).copied()?;
    days.last()?.checked_add((usual.saturating_mul(GAPS)).max(LEAST_LATE).days()).ok()
}

fn midnight(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    day.to_zoned(zone.clone()).ok().map(|midnight| midnight.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn visit(text: &str, store: &str) -> Standing {
        Standing {
            key: Uuid::from_u128(at(text).as_second().unsigned_abs().into()),
            opened_at: at(text),
            store: Some(store.to_owned()),
            void: false,
        }
    }

    fn counted(there: &Told, standing: &[Standing], removed: &[Timestamp], now: &str) -> RollUp {
        roll_up(there, standing, removed, at(now), &TimeZone::UTC)
    }

    #[test]
    fn the_records_of_all_stores_are_counted_and_void_ones_are_not() {
        let mut standing = vec![
            visit("2026-01-05T10:00:00Z", "shop-7"),
            visit("2026-03-20T10:00:00Z", "shop-7"),
            visit("2026-03-21T10:00:00Z", "shop-8"),
            visit("2026-03-22T10:00:00Z", "shop-8"),
            visit("2026-03-23T10:00:00Z", "shop-7"),
        ];
        standing[4].void = true;
        let told = counted(&Told::default(), &standing, &[], "2026-03-24T10:00:00Z").told;
        assert_eq!((told.visits_30, told.visits_90), (Some(3), Some(4)));
        assert_eq!(told.first_visit, Some(at("2026-01-05T10:00:00Z")));
        assert_eq!(told.last_visit, Some(at("2026-03-22T10:00:00Z")));
        assert_eq!(told.home_store.as_deref(), Some("shop-8"), "two each: the one visited last");
    }

    #[test]
    fn the_earlier_first_and_the_later_last_visit_of_the_company_are_kept_and_those_taken_back_are_not() {
        let there = Told {
            first_visit: Some(at("2019-05-01T00:00:00Z")),
            last_visit: Some(at("2026-03-23T10:00:00Z")),
            ..Told::default()
        };
        let standing = [visit("2026-03-20T10:00:00Z", "shop-7")];
        let told = counted(&there, &standing, &[], "2026-03-24T10:00:00Z").told;
        assert_eq!((told.first_visit, told.last_visit), (there.first_visit, there.last_visit));
        let told = counted(&there, &standing, &[at("2026-03-23T10:00:00.25Z")], "2026-03-24T10:00:00Z").told;
        assert_eq!(told.last_visit, Some(at("2026-03-20T10:00:00Z")), "an erasure lowers it");
        let told = counted(&there, &[], &[at("2026-03-23T10:00:00Z")], "2026-03-24T10:00:00Z").told;
        assert_eq!((told.last_visit, told.visits_30), (None, Some(0)));
    }

    #[test]
    fn whoever_stays_away_for_twice_their_usual_gap_is_late_and_the_day_is_known_beforehand() {
        let weekly = ["2026-03-02", "2026-03-09", "2026-03-16", "2026-03-23"];
        let standing: Vec<Standing> = weekly.iter().map(|day| visit(&format!("{day}T10:00:00Z"), "shop-7")).collect();
        let before = counted(&Told::default(), &standing, &[], "2026-03-30T10:00:00Z");
        assert_eq!(before.told.late_since, None);
        let on_the_day = counted(&Told::default(), &standing, &[], "2026-04-06T00:00:00Z");
        assert_eq!(on_the_day.told.late_since, Some("2026-04-06".parse().unwrap()));
        // The oldest visit leaves the month before that.
        assert_eq!(before.again, Some(at("2026-04-01T10:00:00Z")));
        let later = counted(&Told::default(), &standing, &[], "2026-04-02T10:00:00Z");
        assert_eq!(later.again, Some(at("2026-04-06T00:00:00Z")));
        assert_eq!(counted(&Told::default(), &standing[..3], &[], "2026-07-06T00:00:00Z").told.late_since, None);
    }

    #[test]
    fn counted_again_it_comes_to_the_same() {
        let standing: Vec<Standing> = (1..9).map(|day| visit(&format!("2026-03-0{day}T10:00:00Z"), "shop-7")).collect();
        let once = counted(&Told::default(), &standing, &[], "2026-03-24T10:00:00Z").told;
        let twice = counted(&once, &standing, &[], "2026-03-24T10:00:00Z").told;
        assert_eq!(once, twice);
    }
}
