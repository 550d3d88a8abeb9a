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

/// What happened at a counter.
#[derive(Clone, Debug, PartialEq)]
pub enum VisitEvent {
    /// A customer is here: greet them, record the visit.
    Opened { visit: VisitId, counter: CounterId, customer: CustomerId, how: HowKnown },
    /// Somebody is here whom the cashier should confirm. Nothing is recorded.
    Suggested { visit: VisitId, counter: CounterId, candidates: Vec<CustomerId> },
    /// The customer is back within the merge window: the card again, no greeting.
    Returned { visit: VisitId, counter: CounterId, customer: CustomerId, entered: bool },
    /// Somebody who is on the screen gave their card: they stay there unseen for a while.
    Held { visit: VisitId, counter: CounterId },
    /// The cashier said that the greeted customer is right.
    Confirmed { visit: VisitId, counter: CounterId },
    /// The cashier said that it is not them. An open visit is void; a suggestion leaves no trace.
    Rejected { visit: VisitId, counter: CounterId, recorded: bool },
    /// The cashier said that the visit is another customer's.
    Reassigned { visit: VisitId, counter: CounterId, customer: CustomerId },
    /// Nobody of this visit (or suggestion) is seen any more: off the screen.
    Left { visit: VisitId, counter: CounterId, recorded: bool },
    /// The merge window has passed: the visit is over.
    Closed { visit: VisitId, counter: CounterId },
}
