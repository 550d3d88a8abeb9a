//! Following changed contacts in Creatio by the time of their change; deletions cannot be seen that way.
//!
//! Pages follow one another by the last row's time, not by a count from the beginning: contacts that change meanwhile leave
//! their place, and those behind them would be missed.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::Creatio;
use crate::crm::{Changes, Failure};
use crate::vendors::odata::{Dialect, PAGE, rows, wire};

/// How far a look for changes reaches back: a row's stamp is older than the moment in which others see it.
const OVERLAP: Duration = Duration::from_secs(120);

pub(super) async fn changed(site: &mut Creatio, cursor: &str) -> Result<Changes, Failure> {
    let Some(mut at) = Place::read(cursor) else {
        let now = Place { since: site.tools.clock.wall().at, skip: 0, within: false };
        return Ok(Changes { cursor: now.to_string(), ..Changes::default() });
    };
    let from = if at.within { at.since } else { at.since.checked_sub(OVERLAP).unwrap_or(at.since) };
    let (select, expand) = rows::contact_columns(site.own.words());
    let (filter, skip, top) = (format!("ModifiedOn ge {}", wire::time(from)), at.skip.to_string(), PAGE.to_string());
    let options = [
        ("$filter", &*filter),
        ("$orderby", "ModifiedOn,Id"),
        ("$top", &*top),
        ("$skip", &*skip),
        ("$select", &*select),
        ("$expand", &*expand),
    ];
    let rows = site.rows("Contact", &options).await?;
    let more = rows.len() >= PAGE;
    let latest = rows.iter().filter_map(|row| wire::read_time(row["ModifiedOn"].as_str()?)).max();
    at.advance(from, latest, rows.len(), more);
    let contacts = rows.iter().filter_map(|row| rows::contact(row, site.own.words())).collect();
    Ok(Changes { contacts, cursor: at.to_string(), more })
}

/// How far changes were read.
struct Place {
    since: Timestamp,
    /// Rows to pass over; only where more rows than a page have the same time.
    skip: usize,
    /// Whether this is in the middle of a look, which needs no overlap.
    within: bool,
}

impl Place {
    fn read(cursor: &str) -> Option<Self> {
        let (since, rest) = cursor.split_once(' ').unwrap_or((cursor, ""));
        Some(Self { since: since.parse().ok()?, skip: rest.parse().unwrap_or(0), within: !rest.is_empty() })
    }

    /// After a page of so many rows that were asked for from `from` on.
    fn advance(&mut self, from: Timestamp, latest: Option<Timestamp>, count: usize, more: bool) {
        let latest = latest.unwrap_or(self.since);
        // A tenth is read again, for the same reason.
        self.skip = if more && latest <= from { self.skip + count * 9 / 10 } else { 0 };
        self.since = if more { latest } else { latest.max(self.since) };
        self.within = more;
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = wire::time(self.since);
        if self.within { write!(f, "{since} {}", self.skip) } else { f.write_str(&since) }
    }
}
