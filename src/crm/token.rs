//! An access token with the time until which it is used.
//!
//! Where it comes from is each connector's.

use std::fmt;
use std::time::Duration;

use crate::clock::Monotonic;

/// Left unused before its end, so that it does not expire under way.
const MARGIN: Duration = Duration::from_secs(60);

/// A token in memory; it is never written anywhere.
#[derive(Clone)]
pub struct Token {
    pub value: String,
    until: Option<Monotonic>,
}

impl Token {
    /// `lasts` is what the vendor says; `None` where it says nothing.
    pub fn new(value: impl Into<String>, now: Monotonic, lasts: Option<Duration>) -> Self {
        Self { value: value.into(), until: lasts.map(|lasts| now + lasts.saturating_sub(MARGIN)) }
    }

    pub fn is_fresh(&self, now: Monotonic) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
