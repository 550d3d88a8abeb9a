//! Whether names agree, on a table of pairs, and which name is greeted.
//!
//! The table is `names/pairs.txt`; the screen with a CRM's name is in `store_delivery.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::str::FromStr;

use proptest::prelude::*;
use snova::customer::{FormOfAddress, Gender, PersonName};
use snova::names::Agreement::{Agree, CannotSay, Disagree};
use snova::names::{Why, Written, agree, agree_with, greeted};

/// A pair of the table.
struct Pair {
    is_same: bool,
    expected: &'static str,
    names: [&'static str; 2],
}

fn pairs() -> Vec<Pair> {
    let lines = include_str!("names/pairs.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &'static str| {
        let (truth, rest) = line.split_once(' ')?;
        let (expected, names) = rest.trim_start().split_once(' ')?;
        let (a, b) = names.split_once('|')?;
        Some(Pair { is_same: truth == "same", expected, names: [a.trim(), b.trim()] })
    };
    lines.map(|line| pair(line).unwrap_or_else(|| panic!("no pair: {line}"))).collect()
}

fn written(text: &str) -> Written<'_> {
    let mut fields = text.split(';');
    Written { given: fields.next(), patronymic: fields.next(), family: fields.next() }
}

fn verdict(a: &str, b: &str) -> &'static str {
    match agree(written(a), written(b)) {
        Agree => "agree",
        Disagree(_) => "disagree",
        CannotSay(_) => "cannot-say",
    }
}

#[test]
fn every_pair_of_the_table_compares_as_it_says_from_either_side() {
    let mut faults = Vec::new();
    for Pair { expected, names: [a, b], .. } in pairs() {
        for (a, b) in [(a, b), (b, a)] {
            let found = agree(written(a), written(b));
            if verdict(a, b) != expected {
                faults.push(format!("{a} | {b}: expected {expected}, is {found:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn no_two_people_agree_and_hardly_anybody_is_asked_about_themselves() {
    let pairs = pairs();
    let count = |is_same: bool, verdict_is: &str| {
        pairs.iter().filter(|p| p.is_same == is_same && verdict(p.names[0], p.names[1]) == verdict_is).count()
    };
    let (same, other) = (pairs.iter().filter(|p| p.is_same).count(), pairs.iter().filter(|p| !p.is_same).count());
    let (asked, refused) = (count(true, "cannot-say"), count(true, "disagree"));
    println!("{} pairs: {same} of one person, of whom {asked} are asked about; {other} of two", pairs.len());
    assert!(pairs.len() >= 160, "{} pairs", pairs.len());
    assert_eq!(count(false, "agree"), 0, "two people agree");
    assert_eq!(refused, 0, "somebody is told from themselves");
    assert!(asked * 20 <= same, "{asked} of {same} are asked about");
}

/// The lines of the table of given names: the gender, the whole names, the short ones.
fn lines() -> impl Iterator<Item = (&'static str, Vec<&'static str>, Vec<&'static str>)> {
    let lines =
        include_str!("../src/names/given.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (gender, names) = line.split_once(' ').expect("a line has names");
        let mut columns = names.split('|').map(|names| names.split_whitespace().filter(|name| !name.ends_with('?')));
        let mut column = || columns.next().into_iter().flatten().collect();
        (gender, column(), column())
    })
}

/// Every name with every other is a test of the room's own; here they go the whole way, each with one in 25 of the others.
#[test]
fn no_mans_name_agrees_with_a_womans() {
    let of = |gender: &str| -> BTreeSet<&str> {
        lines().filter(|line| line.0 == gender).flat_map(|(_, whole, _)| whole).collect()
    };
    let (men, women) = (of("m"), of("f"));
    assert!(men.len() > 700 && women.len() > 700, "{} and {}", men.len(), women.len());
    let mut faults = Vec::new();
    for (at, man) in men.iter().enumerate().filter(|(_, man)| !women.contains(*man)) {
        for woman in women.iter().skip(at % 25).step_by(25).filter(|woman| !men.contains(*woman)) {
            if verdict(man, woman) == "agree" {
                faults.push(format!("{man} | {woman}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_name_of_a_line_agrees_with_the_first_of_it() {
    let mut faults = Vec::new();
    for (_, whole, short) in lines() {
        let first = whole[0];
        let names = whole.into_iter().chain(short);
        faults.extend(names.filter(|name| verdict(first, name) != "agree").map(|name| format!("{first} | {name}")));
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_gender_on_record_outweighs_a_name_that_both_bear() {
    let sasha = PersonName { gender: Some(Gender::Feminine), ..PersonName::given("Саша") };
    assert_eq!(agree_with(&sasha, written("Александр;Петрович;")), Disagree(Why::Gender));
    assert_eq!(agree_with(&sasha, written("Александр")), Disagree(Why::Gender));
    assert_eq!(agree_with(&sasha, written("Александра;Петровна;")), Agree);
    assert_eq!(agree_with(&PersonName::given("Саша"), written("Александр;Петрович;")), Agree);
}

#[test]
fn reasons_are_kept_by_their_words_and_told_by_what_differs() {
    for why in Why::ALL {
        assert_eq!(Why::from_str(why.as_str()), Ok(why));
    }
    assert!(Why::from_str("mood").is_err());
    for (a, b, expected) in [
        ("Пётр", "Мария;Павловна;", Disagree(Why::Gender)),
        ("Пётр", "Павел", Disagree(Why::GivenName)),
        ("Иван;Иванович;", "Иван;Петрович;", Disagree(Why::Patronymic)),
        ("Пётр;;Иванов", "Пётр;;Сидоренко", Disagree(Why::Family)),
        ("Анна;;Белова", "Анна;;Чернова", CannotSay(Why::Family)),
        ("John Smith Jr.", "John Smith Sr.", Disagree(Why::Generation)),
        ("Пётр", "+7 999 123-45-67", CannotSay(Why::NoName)),
        ("Пётр", ";;Иванов", CannotSay(Why::NoName)),
        ("Пётр", "П.", CannotSay(Why::OnlyInitials)),
        ("Пётр", "Мамикон", CannotSay(Why::UnknownName)),
        ("Пётр", "Мария и Пётр", CannotSay(Why::SeveralNames)),
        ("Пётр", "Пётр Иван Павел Олег Юрий", CannotSay(Why::Unreadable)),
    ] {
        assert_eq!(agree(written(a), written(b)), expected, "{a} | {b}");
    }
}

#[test]
fn a_name_is_not_printed() {
    assert_eq!(format!("{:?}", written("Пётр;Сергеевич;Муж")), "Written(…)");
}

/// The customer's name in fields, and how they are greeted beside a CRM's name, in fields too.
fn greeted_as(ours: &str, theirs: &str) -> String {
    let [given, patronymic, family] = fields(ours);
    let name = PersonName { patronymic, family, ..PersonName::given(&given.unwrap_or_default()) };
    let PersonName { given, patronymic, family, .. } = greeted(&name, written(theirs));
    format!("{given};{};{}", patronymic.unwrap_or_default(), family.unwrap_or_default())
}

fn fields(text: &str) -> [Option<String>; 3] {
    let mut fields = text.split(';').map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()));
    std::array::from_fn(|_| fields.next().flatten())
}

#[test]
fn the_name_of_the_consent_is_greeted_and_the_crms_adds_what_it_has_in_full() {
    for (ours, theirs, expected) in [
        ("Пётр;Сергеевич", "П. С. Муж", "Пётр;Сергеевич;Муж"),
        ("Пётр", "Пётр;Сергеевич;Иванов", "Пётр;Сергеевич;Иванов"),
        ("Пётр", "Иванов Пётр Сергеевич", "Пётр;Сергеевич;Иванов"),
        ("Пётр", "ИВАНОВ ПЁТР СЕРГЕЕВИЧ", "Пётр;Сергеевич;Иванов"),
        ("Анна", "анна;;римская-корсакова", "Анна;;Римская-Корсакова"),
        ("Петр", "Пётр;Сергеевич;", "Петр;Сергеевич;"),
        ("П.;С.", "Пётр;Сергеевич;Муж", "Пётр;Сергеевич;Муж"),
        ("Пётр;С.", "Пётр;Сергеевич;", "Пётр;Сергеевич;"),
        ("Mary", "Mary;;Jones", "Mary;;Jones"),
        // Another person, or perhaps one.
        ("Пётр", "Мария;Павловна;", "Пётр;;"),
        ("Пётр", "Мария;Павловна;Муж", "Пётр;;"),
        ("Пётр;;Иванов", "Пётр;Сергеевич;Петров", "Пётр;;Иванов"),
        ("Анна;;Белова", "Анна;Сергеевна;Чернова", "Анна;;Белова"),
        ("Пётр", "П. Иванов", "Пётр;;"),
        ("Пётр", "ООО «Пётр»", "Пётр;;"),
        ("Пётр", ";;", "Пётр;;"),
        // One person, but no name that anybody would say.
        ("Саша", "Александр;Петрович;Орлов", "Саша;;Орлов"),
        ("Пётр", "Петро;Сергійович;Коваль", "Пётр;;Коваль"),
        ("Пётр", "Petr;Sergeevich;Ivanov", "Пётр;;"),
        ("John", "John;Michael;Smith", "John;;Smith"),
        // What is there in full stays as it was told.
        ("Алёна;Сергеевна;Белова", "Алена;Сергеевна;Белова-Чернова", "Алёна;Сергеевна;Белова"),
        ("Пётр;Сергеич", "Пётр;Сергеевич;Иванов", "Пётр;Сергеич;Иванов"),
    ] {
        assert_eq!(greeted_as(ours, theirs), expected, "{ours} beside {theirs}");
    }
}

#[test]
fn manners_stay_the_customers_own() {
    let ours = PersonName {
        gender: Some(Gender::Masculine),
        form: FormOfAddress::Given,
        spoken: Some("Пётр, дорогой".to_owned()),
        ..PersonName::given("Пётр")
    };
    let name = greeted(&ours, written("Пётр;Сергеевич;Муж"));
    assert_eq!(name.full(), "Пётр Сергеевич Муж");
    assert_eq!((name.gender, name.form, name.spoken), (ours.gender, ours.form, ours.spoken));
}

/// What people and programs write into the fields of a name.
fn text() -> impl Strategy<Value = String> {
    let names = vec![
        "Пётр",
        "П.",
        "П.С.",
        "Саша",
        "Мария",
        "Сергеевич",
        "Сергеевна",
        "Иванов",
        "Іванова",
        "Муж",
        "Anna",
        "O'Neil",
        "и",
        "ООО",
        "мл.",
        "оглы",
        "-",
        "Анна-Мария",
        "Роман",
        "Богдан",
        "Yuliia",
        "Абрамович",
        "де",
        "77",
        "ё́",
        "ﬀ",
    ];
    let words = proptest::collection::vec(proptest::sample::select(names), 0..5).prop_map(|words| words.join(" "));
    prop_oneof![3 => words, 1 => ".*", 1 => "[А-Яа-яёіїґA-Za-z. -]{0,30}"]
}

fn whole_name() -> impl Strategy<Value = [Option<String>; 3]> {
    [proptest::option::of(text()), proptest::option::of(text()), proptest::option::of(text())]
}

fn as_written(name: &[Option<String>; 3]) -> Written<'_> {
    let [given, patronymic, family] = name;
    Written { given: given.as_deref(), patronymic: patronymic.as_deref(), family: family.as_deref() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn whatever_is_written_compares_alike_from_either_side(a in whole_name(), b in whole_name()) {
        prop_assert_eq!(agree(as_written(&a), as_written(&b)), agree(as_written(&b), as_written(&a)));
    }

    #[test]
    fn whatever_is_written_the_name_that_is_greeted_agrees_with_the_one_consented_to(a in whole_name(), b in whole_name()) {
        let [given, patronymic, family] = a;
        let ours = PersonName { patronymic, family, ..PersonName::given(&given.unwrap_or_default()) };
        if let Ok(ours) = ours.checked() {
            let name = greeted(&ours, as_written(&b));
            let changed = agree(Written::of(&ours), as_written(&b)) == Agree || name == ours;
            prop_assert!(changed, "a name was changed by one that does not agree");
            prop_assert!(name.checked().is_ok());
        }
    }
}
