//! Every word of the cashier's page in every language.
//!
//! What is shown when is `crate::web`'s. Nobody at the counter is an empty screen: it has no word.

use super::{Language, Plural};

/// Declares the catalogue once, so that a language without a word does not compile and a list of all
/// words cannot forget one.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $word:ident,)*; $($(#[$count_doc:meta])* $count:ident,)*) => {
        /// The words of the cashier's page in one language. `{…}` are places for [`fill`].
        #[derive(Debug)]
        pub struct UiWords {
            $($(#[$doc])* pub $word: &'static str,)*
            $($(#[$count_doc])* pub $count: Plural,)*
        }

        impl UiWords {
            /// Every word with its field's name, in the order above.
            pub fn words(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
                [$((stringify!($word), self.$word)),*].into_iter()
            }

            /// Every counted phrase with its field's name.
            pub fn counted(&self) -> impl Iterator<Item = (&'static str, Plural)> {
                [$((stringify!($count), self.$count)),*].into_iter()
            }
        }
    };
}

catalogue! {
    /// The page's title; `{counter}`.
    title,
    /// The list of the box's counters.
    choose_counter,
    /// The address names a counter that the box does not have; `{counter}`.
    no_such_counter,

    /// One uncertain suggestion; `{name}`.
    is_this,
    /// Several uncertain suggestions, above their names.
    who_is_this,
    yes,
    no,
    /// None of those suggested, or the greeting named the wrong customer.
    somebody_else,
    /// The answer came too late.
    already_left,
    /// The customer named in the answer is not enrolled any more.
    not_enrolled,
    /// The service could not take the answer just now.
    try_again,

    first_visit,
    /// `{date}`.
    last_visit,
    tier,
    note,

    /// The camera's states; `{camera}`, and `{time}` where the state has a beginning.
    camera_starting,
    camera_live,
    camera_stalled,
    camera_lost,
    camera_ended,
    no_camera,

    /// The page has lost the box and is trying again by itself.
    connection_lost,
    /// The box's clock has not been set by a time server yet.
    clock_not_set,
    ;
    visits,
    /// Visits shown but not yet on disk.
    unsaved,
}

static RUSSIAN: UiWords = UiWords {
    title: "Снова · {counter}",
    choose_counter: "Выберите кассу",
    no_such_counter: "Кассы «{counter}» на этом устройстве нет",
    is_this: "Это {name}?",
    who_is_this: "Кто это?",
    yes: "Да",
    no: "Нет",
    somebody_else: "Это другой человек",
    already_left: "Покупатель уже отошёл от кассы",
    not_enrolled: "Этого покупателя в списке больше нет",
    try_again: "Не получилось, попробуйте ещё раз",
    first_visit: "Первый визит",
    last_visit: "Последний визит: {date}",
    tier: "Статус",
    note: "Заметка",
    camera_starting: "Камера «{camera}» включается",
    camera_live: "Камера «{camera}» работает",
    camera_stalled: "Камера «{camera}» не даёт изображения с {time}",
    camera_lost: "Нет связи с камерой «{camera}» с {time}",
    camera_ended: "Запись с камеры «{camera}» закончилась",
    no_camera: "У этой кассы нет камеры",
    connection_lost: "Связь с устройством потеряна, восстанавливаем",
    clock_not_set: "Часы устройства не сверены",
    visits: Plural { one: "{n} визит", few: "{n} визита", many: "{n} визитов" },
    unsaved: Plural {
        one: "{n} запись ещё не сохранена",
        few: "{n} записи ещё не сохранены",
        many: "{n} записей ещё не сохранено",
    },
};

static UKRAINIAN: UiWords = UiWords {
    title: "Snova · {counter}",
    choose_counter: "Оберіть касу",
    no_such_counter: "Каси «{counter}» на цьому пристрої немає",
    is_this: "Це {name}?",
    who_is_this: "Хто це?",
    yes: "Так",
    no: "Ні",
    somebody_else: "Це інша людина",
    already_left: "Покупець уже відійшов від каси",
    not_enrolled: "Цього покупця в списку більше немає",
    try_again: "Не вдалося, спробуйте ще раз",
    first_visit: "Перший візит",
    last_visit: "Останній візит: {date}",
    tier: "Статус",
    note: "Нотатка",
    camera_starting: "Камера «{camera}» вмикається",
    camera_live: "Камера «{camera}» працює",
    camera_stalled: "Камера «{camera}» не дає зображення з {time}",
    camera_lost: "Немає зв’язку з камерою «{camera}» з {time}",
    camera_ended: "Запис із камери «{camera}» закінчився",
    no_camera: "Ця каса не має камери",
    connection_lost: "Зв’язок із пристроєм утрачено, відновлюємо",
    clock_not_set: "Годинник пристрою не звірено",
    visits: Plural { one: "{n} візит", few: "{n} візити", many: "{n} візитів" },
    unsaved: Plural {
        one: "{n} запис ще не збережено",
        few: "{n} записи ще не збережено",
        many: "{n} записів ще не збережено",
    },
};

static ENGLISH: UiWords = UiWords {
    title: "Snova · {counter}",
    choose_counter: "Choose the counter",
    no_such_counter: "This device has no counter \"{counter}\"",
    is_this: "Is this {name}?",
    who_is_this: "Who is this?",
    yes: "Yes",
    no: "No",
    somebody_else: "This is someone else",
    already_left: "The customer has already left the counter",
    not_enrolled: "This customer is not on the list any more",
    try_again: "That did not work, please try again",
    first_visit: "First visit",
    last_visit: "Last visit: {date}",
    tier: "Status",
    note: "Note",
    camera_starting: "Camera \"{camera}\" is starting",
    camera_live: "Camera \"{camera}\" is working",
    camera_stalled: "Camera \"{camera}\" has given no picture since {time}",
    camera_lost: "Camera \"{camera}\" has been lost since {time}",
    camera_ended: "The recording of camera \"{camera}\" has ended",
    no_camera: "This counter has no camera",
    connection_lost: "Connection to the device lost, reconnecting",
    clock_not_set: "The device's clock is not set",
    visits: Plural { one: "{n} visit", few: "{n} visits", many: "{n} visits" },
    unsaved: Plural {
        one: "{n} record not yet saved",
        few: "{n} records not yet saved",
        many: "{n} records not yet saved",
    },
};

/// The words of the cashier's page in `language`.
pub fn ui(language: Language) -> &'static UiWords {
    match language {
        Language::Russian => &RUSSIAN,
        Language::Ukrainian => &UKRAINIAN,
        Language::English => &ENGLISH,
    }
}

/// Puts values into the `{key}` places of a phrase in one pass, so that a value that holds a brace stays
/// as it is. A place without a value stays visible.
pub fn fill(phrase: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(phrase.len());
    let mut rest = phrase;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let place = after.split_once('}');
        let value = place.and_then(|(key, tail)| Some((values.iter().find(|(known, _)| *known == key)?.1, tail)));
        match value {
            Some((value, tail)) => {
                filled.push_str(value);
                rest = tail;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn places(phrase: &str) -> BTreeSet<&str> {
        phrase.split('{').skip(1).filter_map(|after| Some(after.split_once('}')?.0)).collect()
    }

    #[test]
    fn no_word_is_empty_or_ragged() {
        for language in Language::ALL {
            for (field, word) in ui(language).words() {
                assert!(!word.is_empty() && word.trim() == word, "{language} {field}");
            }
        }
    }

    #[test]
    fn the_places_of_a_phrase_agree_between_the_languages() {
        let english: Vec<_> = ui(Language::English).words().collect();
        for language in Language::ALL {
            for ((field, word), (_, reference)) in ui(language).words().zip(&english) {
                assert_eq!(places(word), places(reference), "{language} {field}");
            }
            for (field, plural) in ui(language).counted() {
                for form in [plural.one, plural.few, plural.many] {
                    assert_eq!(places(form), BTreeSet::from(["n"]), "{language} {field}");
                }
            }
        }
    }

    #[test]
    fn cyrillic_words_hold_no_latin_look_alikes() {
        for language in [Language::Russian, Language::Ukrainian] {
            let words = ui(language);
            let counted = words.counted().flat_map(|(field, p)| [(field, p.one), (field, p.few), (field, p.many)]);
            for (field, word) in words.words().chain(counted) {
                let mixed =
                    fill(word, &[("counter", ""), ("name", ""), ("date", ""), ("time", ""), ("camera", ""), ("n", "")])
                        .split(|c: char| !c.is_alphabetic())
                        .any(|w| w.chars().any(|c| c.is_ascii_alphabetic()) && !w.is_ascii());
                assert!(!mixed, "{language} {field}");
            }
        }
    }

    #[test]
    fn values_fill_their_places_once() {
        assert_eq!(fill("Is this {name}?", &[("name", "{name} {n}")]), "Is this {name} {n}?");
        assert_eq!(fill("{a}{b}{a}", &[("a", "1"), ("b", "2")]), "121");
        assert_eq!(fill("{unknown} { {n", &[("n", "5")]), "{unknown} { {n");
    }
}
