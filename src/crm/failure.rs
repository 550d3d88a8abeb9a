//! Why a CRM did not do what it was asked, by what must happen next.
//!
//! What happens next is `crate::sync`'s. A vendor's own words may quote a customer: only its codes are kept.

use std::fmt;
use std::time::Duration;

/// What a failure means for what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// Too many requests: wait, then go on slower.
    Throttled,
    /// The login is refused: nothing goes on before a person has mended it.
    Auth,
    /// A fault that passes: network, 5xx, an answer that makes no sense.
    Transient,
    /// This one thing will never be taken as it is.
    Poison,
    /// The tenant's plan, quota or network rule forbids everything for hours.
    TenantBlocked,
}

impl FailureClass {
    pub const ALL: [Self; 5] = [Self::Throttled, Self::Auth, Self::Transient, Self::Poison, Self::TenantBlocked];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Auth => "auth",
            Self::Transient => "transient",
            Self::Poison => "poison",
            Self::TenantBlocked => "tenant-blocked",
        }
    }
}

/// A failure with what may be said of it: our words, the HTTP status, the vendor's code. Never its prose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub struct Failure {
    pub class: FailureClass,
    said: String,
    /// How long the vendor wants to be left alone.
    pub wait: Option<Duration>,
    /// The contact that it was about is not in the CRM any more, or is in its bin: whoever asks looks for another.
    pub contact_gone: bool,
}

impl Failure {
    /// `said` is a text of our own: what failed, on what, what to do.
    pub fn new(class: FailureClass, said: impl Into<String>) -> Self {
        Self { class, said: said.into(), wait: None, contact_gone: false }
    }

    pub fn transient(said: impl Into<String>) -> Self {
        Self::new(FailureClass::Transient, said)
    }

    pub fn auth(said: impl Into<String>) -> Self {
        Self::new(FailureClass::Auth, said)
    }

    pub fn poison(said: impl Into<String>) -> Self {
        Self::new(FailureClass::Poison, said)
    }

    /// The contact is not there any more: deleted, merged into another, or in the bin.
    pub fn contact_gone(said: impl Into<String>) -> Self {
        Self { contact_gone: true, ..Self::new(FailureClass::Poison, said) }
    }

    pub fn throttled(said: impl Into<String>, wait: Option<Duration>) -> Self {
        Self::new(FailureClass::Throttled, said).after(wait)
    }

    pub fn blocked(said: impl Into<String>, wait: Option<Duration>) -> Self {
        Self::new(FailureClass::TenantBlocked, said).after(wait)
    }

    /// With the time that the vendor wants to be left alone for.
    pub fn after(self, wait: Option<Duration>) -> Self {
        Self { wait, ..self }
    }

    /// Adds the vendor's own code, as far as it is one.
    pub fn with_code(mut self, code: &str) -> Self {
        if let Some(code) = VendorCode::of(code) {
            self.said = format!("{} ({code})", self.said);
        }
        self
    }

    pub fn said(&self) -> &str {
        &self.said
    }
}

/// A short word for programs in a vendor's answer: `REQUIRED_FIELD_MISSING`, `0x80072322`, `custom_fields_values.0`.
pub struct VendorCode<'a>(&'a str);

impl<'a> VendorCode<'a> {
    const MOST_CHARS: usize = 80;
    /// Longer runs of digits may be a phone.
    const MOST_DIGITS: usize = 5;

    /// `None` for a text that could be prose, a phone or an address.
    pub fn of(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        let hex = text.strip_prefix("0x").is_some_and(|rest| rest.len() <= 8);
        let digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
        let short = (1..=Self::MOST_CHARS).contains(&text.len());
        (short && text.chars().all(plain) && (hex || digits <= Self::MOST_DIGITS)).then_some(Self(text))
    }
}

impl fmt::Display for VendorCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_code_is_kept_and_its_prose_is_not() {
        let said = |code: &str| Failure::poison("the visit was refused").with_code(code).said().to_owned();
        for code in ["REQUIRED_FIELD_MISSING", "0x80072322", "custom_fields_values.0.field_id", "expired_token", "400"]
        {
            assert_eq!(said(code), format!("the visit was refused ({code})"));
        }
        for prose in
            ["", "Contact Ivan Petrov exists", "79123456789", "+79123456789", "i@x.ru", "Иван", "0x79123456789"]
        {
            assert_eq!(said(prose), "the visit was refused", "{prose}");
        }
    }
}
