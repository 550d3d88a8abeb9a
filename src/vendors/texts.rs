//! Texts that bear a visit's mark, for CRMs whose records of visits are words: whose they are, and what they still say.
//!
//! The texts themselves are `crate::crm`'s.

use jiff::Timestamp;
use uuid::Uuid;

use crate::crm::{erased_text, mark, void_text};
use crate::i18n::Language;

/// What a record's text says of its visit, in whichever language a box wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Stands,
    Void,
    Erased,
}

/// The key in a text's mark; the last one, since a name before it may hold anything.
pub(super) fn key_in(text: &str) -> Option<Uuid> {
    let (_, after) = text.rsplit_once("#visit:")?;
    after.get(..36)?.parse().ok()
}

pub(super) fn bears(text: &str, key: Uuid) -> bool {
    text.contains(&mark(key))
}

/// The time of the visit, where the text begins with it.
pub(super) fn time_of(text: &str) -> Option<Timestamp> {
    text.split(' ').next()?.parse().ok()
}

pub(super) fn said(text: &str, key: Uuid) -> Said {
    let words = if time_of(text).is_some() { text.split_once(' ').map_or("", |(_, words)| words) } else { text };
    let is =
        |of: fn(Language, Uuid) -> String| Language::ALL.into_iter().any(|language| of(language, key) == words.trim());
    match () {
        () if is(void_text) => Said::Void,
        () if is(erased_text) => Said::Erased,
        () => Said::Stands,
    }
}

/// The store in a visit's title, or in a text that begins with one.
pub(super) fn store_in(text: &str) -> Option<String> {
    let named = ["Визит, ", "Візит, ", "Visit, "].into_iter().find_map(|kind| text.split_once(kind))?.1;
    let ends = [", касса ", ", каса ", ", counter "];
    let end = ends.into_iter().filter_map(|end| named.find(end)).min()?;
    Some(named[..end].to_owned()).filter(|store| !store.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_whose_it_is_and_whether_it_stands_in_every_language() {
        let key = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001);
        for language in Language::ALL {
            let (void, erased) = (void_text(language, key), erased_text(language, key));
            assert_eq!((said(&void, key), said(&erased, key)), (Said::Void, Said::Erased));
            assert_eq!(said(&format!("2026-03-02T09:00:00Z {void}"), key), Said::Void);
            assert_eq!((key_in(&void), bears(&erased, key)), (Some(key), true));
        }
        let text = format!("2026-03-02T09:00:00+00:00 Визит, Тверская, 7, касса till-1, чек #visit:5. {}", mark(key));
        assert_eq!((said(&text, key), key_in(&text)), (Said::Stands, Some(key)));
        assert_eq!(store_in(&text).as_deref(), Some("Тверская, 7"));
        assert_eq!((key_in("#visit:"), store_in("Замер кухни")), (None, None));
    }
}
