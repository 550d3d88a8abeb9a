//! Whether names agree, on a table of pairs, and which name is greeted.
//!
//! The table is `names/pairs.txt`; the screen with a CRM's name is in `store_delivery.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashSet;
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

/// The words of the table of given names that lines of one gender alone have, short forms too.
fn given_names(gender: &str) -> Vec<&'static str> {
    let table = || include_str!("../src/names/given.txt").lines().filter(|line| !line.starts_with('#'));
    let words = |line: &'static str| line.split(['|', ' ']).skip(1).map(|word| word.trim_end_matches('?'));
    let of = |gender: &'static str| table().filter(move |line| line.starts_with(gender)).flat_map(words);
    let (own, others): (Vec<_>, HashSet<_>) =
        if gender == "m" { (of("m ").collect(), of("f ").collect()) } else { (of("f ").collect(), of("m ").collect()) };
    let mut own: Vec<&str> = own.into_iter().filter(|word| word.len() > 1 && !others.contains(word)).collect();
    own.sort_unstable();
    own.dedup();
    own
}

#[test]
fn no_mans_name_agrees_with_a_womans() {
    let (men, women) = (given_names("m"), given_names("f"));
    assert!(men.len() > 1000 && women.len() > 1000, "{} and {}", men.len(), women.len());
    let mut faults = Vec::new();
    for (man, woman) in men.iter().flat_map(|man| women.iter().map(move |woman| (man, woman))) {
        if verdict(man, woman) == "agree" {
            faults.push(format!("{man} | {woman}"));
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_name_of_a_line_agrees_with_the_first_of_it() {
    let mut faults = Vec::new();
    for line in include_str!("../src/names/given.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(['|', ' ']).skip(1).filter(|word| !word.is_empty() && !word.ends_with('?'));
        let Some(first) = words.next() else { continue };
        // Patronymics stand in a line too.
        let names = words.filter(|word| !["ич", "вна"].iter().any(|ending| word.ends_with(ending)));
        faults.extend(names.filter(|name| verdict(first, name) != "agree").map(|name| format!("{first} | {name}")));
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}
