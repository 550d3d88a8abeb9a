//! How far the contacts of a CRM have been read, where it can only be asked for those changed since a time.
//!
//! Pages by number shift while people work, so each page begins at the last time of the page before; only where a whole
//! page bears one time is it gone on within that time.

use std::time::Duration;

use jiff::Timestamp;

/// A change may become visible a little after the time that it bears.
const OVERLAP: Duration = Duration::from_secs(30);
/// At the very beginning the CRM's clock is not known either.
const FIRST_OVERLAP: Duration = Duration::from_secs(600);

/// Kept as a cursor: `2026-03-02T09:00:00Z 100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    pub since: Timestamp,
    /// Contacts from `since` on that were read already.
    pub skip: u64,
}

impl Watermark {
    /// From now on.
    pub fn begin(now: Timestamp) -> Self {
        Self { since: earlier(now, FIRST_OVERLAP), skip: 0 }
    }

    /// `None` for a cursor that is empty or not ours.
    pub fn read(cursor: &str) -> Option<Self> {
        let (since, skip) = cursor.split_once(' ')?;
        Some(Self { since: since.parse().ok()?, skip: skip.parse().ok()? })
    }

    pub fn cursor(self) -> String {
        format!("{} {}", self.since, self.skip)
    }

    /// After a page of `count` contacts, the last of which bears the time `latest`.
    pub fn after(self, latest: Option<Timestamp>, count: u64, more: bool) -> Self {
        match latest {
            Some(latest) if more && latest > self.since => Self { since: latest, skip: 0 },
            _ if more => Self { skip: self.skip + count, ..self },
            Some(latest) => Self { since: earlier(latest, OVERLAP).max(self.since), skip: 0 },
            None => Self { skip: 0, ..self },
        }
    }
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_page_begins_where_the_one_before_ended_and_the_last_one_overlaps() {
        let begin = Watermark { since: at("2026-03-02T09:00:00Z"), skip: 0 };
        assert_eq!(Watermark::read(&begin.cursor()), Some(begin));
        let next = begin.after(Some(at("2026-03-02T09:05:00Z")), 100, true);
        assert_eq!(next.cursor(), "2026-03-02T09:05:00Z 0");
        // A whole page, and another, of one time.
        let within = next.after(Some(next.since), 100, true).after(Some(next.since), 100, true);
        assert_eq!(within.cursor(), "2026-03-02T09:05:00Z 200");
        let end = within.after(Some(at("2026-03-02T10:00:00Z")), 3, false);
        assert_eq!(end.cursor(), "2026-03-02T09:59:30Z 0");
        assert_eq!(end.after(Some(at("2026-03-02T10:00:00Z")), 1, false), end, "it never goes back");
        assert_eq!(end.after(None, 0, false), end);
        assert_eq!(Watermark::read(""), None);
    }
}
