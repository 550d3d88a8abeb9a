//! What a visit is told and what it tells: its settings, its events, the cashier's word.
//!
//! The rules are in `super`.

use std::time::Duration;

use crate::customer::{CustomerId, HowKnown, VisitId};
use crate::face::CounterId;

/// When a stay is a visit.
#[derive(Clone, Debug, PartialEq)]
pub struct VisitConfig {
    /// A face must be at the counter this long before anybody is named: people walk past.
    pub dwell: Duration,
    /// A customer unseen for this long has left, and their card goes.
    pub absence: Duration,
    /// A customer back within this time continues the same visit, without a second greeting.
    pub merge: Duration,
    /// A customer whose card was entered stays on the screen this long without being seen.
    pub card_hold: Duration,
}

impl Default for VisitConfig {
    fn default() -> Self {
        Self {
            dwell: Duration::from_millis(400),
            absence: Duration::from_millis(2500),
            merge: Duration::from_secs(300),
            card_hold: Duration::from_secs(120),
        }
    }
}

/// A visit that was not over when the process before this one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    pub visit: VisitId,
    /// Where it was opened.
    pub counter: CounterId,
    pub customer: CustomerId,
    pub how: HowKnown,
    pub entered: bool,
    /// What is left of the merge window.
    pub left: Duration,
}

/// What happened at a counter.
///
/// A recorded visit is told of as `Opened`, then any number of `Returned` and `Left`, then `Closed` or `Rejected`,
/// once. After `Left` with `last` comes `Closed`, or `Returned` with `reopens`; nothing comes after the end.
#[derive(Clone, Debug, PartialEq)]
pub enum VisitEvent {
    /// A customer is here: greet them, record the visit. The record bears this counter.
    Opened { visit: VisitId, counter: CounterId, customer: CustomerId, how: HowKnown },
    /// Somebody is here whom the cashier should confirm. Nothing is recorded.
    Suggested { visit: VisitId, counter: CounterId, candidates: Vec<CustomerId> },
    /// The name at this counter, no greeting: the customer is back within the merge window, or at a second till.
    /// `entered`: their card brought them. `reopens`: they had been gone everywhere, so the row was closed.
    Returned { visit: VisitId, counter: CounterId, customer: CustomerId, entered: bool, reopens: bool },
    /// Somebody who is on the screen gave their card: they stay there unseen for a while.
    Held { visit: VisitId, counter: CounterId },
    /// The cashier said that the greeted customer is right.
    Confirmed { visit: VisitId, counter: CounterId },
    /// The cashier said that it is not them: off this screen. A recorded visit is void and ends here, for its row
    /// too: neither the last `Left` nor `Closed` follows. A suggestion leaves no trace.
    Rejected { visit: VisitId, counter: CounterId, recorded: bool },
    /// The cashier said that the visit is another customer's. Where a screen shows it, it shows that one from now on.
    Reassigned { visit: VisitId, counter: CounterId, customer: CustomerId },
    /// Nobody of this visit (or suggestion) is at this counter any more: off its screen. `last`: nor at any other,
    /// so the row is closed. Who is done with and lingers leaves twice: first the screen, then, `last`, the shop.
    Left { visit: VisitId, counter: CounterId, recorded: bool, last: bool },
    /// The merge window has passed: the visit is over. The counter is the record's.
    Closed { visit: VisitId, counter: CounterId },
}
