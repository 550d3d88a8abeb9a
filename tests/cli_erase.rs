//! `snova customers erase` and whom its WHO means: asked, confirmed, refused, never guessed.
//!
//! What an erasure reaches is `forgetting.rs` and `raw_disk.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses its part of the support code")]

#[path = "support/command_line.rs"]
mod command_line;

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use command_line::Shop;

/// A box with these customers, each with a card, and their ids.
fn shop_with(names: &[[&str; 3]]) -> (Shop, Vec<String>) {
    let shop = Shop::open();
    let enrol = |(n, [given, patronymic, family]): (usize, &[&str; 3])| {
        let card = format!("48200{n}");
        let name = ["enrol", "--given", given, "--patronymic", patronymic, "--family", family, "--card", &card];
        let consent = ["--consent-on", "2026-01-15", "--consent-method", "paper-form"];
        let ended = shop.snova(&[&name[..], &consent[..]].concat());
        let words = ended.out.split_once("enrolled as ").expect("enrolled").1;
        words.split_whitespace().next().expect("an id").to_owned()
    };
    let ids = names.iter().enumerate().map(enrol).collect();
    (shop, ids)
}

const PEOPLE: [[&str; 3]; 3] =
    [["Иван", "Петрович", "Соколов"], ["Иван", "Андреевич", "Белов"], ["Ольга", "Павловна", "Соколова"]];

#[test]
fn an_erasure_is_refused_where_nobody_can_be_asked_and_nobody_said_yes() {
    let (shop, ids) = shop_with(&PEOPLE);
    shop.snova(&["customers", "erase", &ids[0]]).fails_with(&["--yes", &ids[0], "for ever"]);
    assert_eq!(shop.snova(&["customers", "list"]).out.lines().count(), 3);
    let erased = shop.snova(&["customers", "erase", &ids[0], "--yes"]);
    assert!(erased.code == Some(0) && erased.out.contains(&format!("customer {} is erased", ids[0])), "{}", erased.out);
    assert_eq!(shop.snova(&["customers", "list"]).out.lines().count(), 2);
}

#[test]
fn a_customer_is_meant_by_an_unambiguous_beginning_of_name_or_id_and_by_nothing_less() {
    let (shop, ids) = shop_with(&PEOPLE);
    for (who, meant) in [("иван п", 0), ("Белов", 1), ("соколова", 2), ("ОЛЬГА", 2), ("Иван Андреевич Белов", 1)]
    {
        let shown = shop.snova(&["customers", "show", "--json", who]);
        assert!(shown.out.contains(&ids[meant]), "{who}: {}{}", shown.out, shown.err);
    }
    // Ids of one moment begin alike: as much of it as tells them apart.
    let telling = (4..36).find(|n| !ids[1..].iter().any(|id| id.starts_with(&ids[0][..*n]))).expect("they differ");
    let shown = shop.snova(&["customers", "show", "--json", &ids[0][..telling].to_uppercase()]);
    assert!(shown.out.contains("Петрович"), "{}", shown.err);

    for (who, candidates) in [("Иван", &ids[..2]), ("Соколов", &[ids[0].clone(), ids[2].clone()]), (&ids[0][..4], &ids)]
    {
        for command in [&["erase", "--yes"][..], &["show"], &["unlink", "--all"], &["link", "--card", "9"]] {
            let ended = shop.snova(&[&["customers"], command, &[who]].concat());
            ended.fails_with(&[who, "give more of the name or of the id"]);
            assert!(candidates.iter().all(|id| ended.out.contains(id)), "{who}: {}", ended.out);
        }
    }
    for who in ["Пётр", &ids[0][..3], "Петрович", " "] {
        shop.snova(&["customers", "erase", "--yes", who]).fails_with(&["`snova customers list`"]);
    }
    let listed = shop.snova(&["customers", "list"]).out;
    assert!(ids.iter().all(|id| listed.contains(id)), "nobody was touched: {listed}");
    let cards = shop.snova(&["customers", "show", "--json", &ids[0]]);
    assert!(cards.out.contains("\"kind\":\"card\""), "{}", cards.out);
}

/// A terminal: what is typed, and what a program sees.
fn terminal() -> (File, OwnedFd) {
    let (mut typed, mut seen) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: both numbers are live locals; the other arguments may be null.
    let made = unsafe { libc::openpty(&raw mut typed, &raw mut seen, none, std::ptr::null(), std::ptr::null()) };
    assert_eq!(made, 0, "a terminal can be made");
    // SAFETY: both descriptors were just opened and are nobody else's.
    unsafe { (File::from_raw_fd(typed), OwnedFd::from_raw_fd(seen)) }
}

#[test]
fn on_a_terminal_the_name_is_shown_and_only_a_yes_erases() {
    let (shop, ids) = shop_with(&PEOPLE);
    for (answer, left) in [("no\n", 3), ("\n", 3), ("да\n", 2)] {
        let (mut typed, seen) = terminal();
        let child = Command::new(env!("CARGO_BIN_EXE_snova"))
            .args(["customers", "erase", "Белов", "--config"])
            .arg(shop.path("snova.toml"))
            .stdin(seen)
            .stdout(Stdio::piped())
            .spawn()
            .expect("snova starts");
        typed.write_all(answer.as_bytes()).expect("the terminal takes it");
        let ended = child.wait_with_output().expect("it ends");
        let said = String::from_utf8(ended.stdout).expect("text");
        assert!(ended.status.success() && said.contains("Иван Андреевич Белов") && said.contains(&ids[1]), "{said}");
        assert_eq!(said.contains("nothing was erased"), left == 3, "{answer:?}: {said}");
        assert_eq!(shop.snova(&["customers", "list"]).out.lines().count(), left, "{answer:?}");
    }
}

#[test]
fn copies_of_the_database_are_named_by_check_and_go_with_the_erased() {
    let (shop, ids) = shop_with(&PEOPLE[..1]);
    std::fs::copy(shop.data().join("snova.db"), shop.data().join("snova.db.damaged-20261127T120000000Z")).unwrap();
    assert!(shop.snova(&["check"]).out.contains("snova.db.damaged-20261127T120000000Z"));
    let erased = shop.snova(&["customers", "erase", &ids[0], "--yes"]);
    assert!(erased.out.contains("1 copy of the database"), "{}", erased.out);
    assert!(!shop.snova(&["check"]).out.contains("damaged-2026"));
}
