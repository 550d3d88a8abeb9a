//! The architecture as a test: which room may use which, where external crates may be named, and the tree's tidiness.
//!
//! The table is the house's to correct as it grows; it stays acyclic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/rust_text.rs"]
mod rust_text;
use rust_text::{code, heads, words};

/// Each room with the rooms it may use, in the order of `lib.rs`. `main` uses `cli`, through the library.
const ROOMS: &[(&str, &str)] = &[
    ("clock", ""),
    ("i18n", ""),
    ("memory", ""),
    ("shutdown", ""),
    ("telemetry", ""),
    ("trouble", ""),
    ("face", "clock"),
    ("customer", "clock face i18n"),
    ("names", "customer"),
    ("camera", "clock face shutdown"),
    ("vision", "clock face"),
    ("track", "clock customer face"),
    ("gallery", "customer face"),
    ("visit", "clock customer face"),
    ("greeting", "customer i18n"),
    ("vault", ""),
    ("crm", "clock customer face i18n"),
    ("vendors", "clock crm customer i18n"),
    ("pipeline", "clock customer face gallery track vision"),
    ("store", "clock customer face i18n names vault"),
    ("enrolment", "clock customer face gallery i18n store vision"),
    ("eval", "customer face gallery vision"),
    ("greeter", "camera clock customer face greeting i18n store trouble visit"),
    ("loader", "clock customer face gallery shutdown store trouble"),
    ("setup", "vision"),
    ("sync", "clock crm customer names shutdown store telemetry trouble vault"),
    ("web", "camera clock customer face greeter i18n shutdown telemetry trouble"),
    ("config", "camera crm customer face greeting i18n vendors"),
    (
        "app",
        "camera clock config crm customer enrolment face gallery greeter i18n loader pipeline setup shutdown store sync \
         telemetry trouble vault vendors vision visit web",
    ),
    (
        "cli",
        "app camera clock config crm customer enrolment eval face gallery greeter i18n memory names pipeline setup shutdown \
         store sync telemetry trouble vault vendors vision visit web",
    ),
];

/// External crates that only these rooms may name.
const CONFINED: &[(&str, &str)] = &[
    ("ort", "vision"),
    ("rusqlite", "store"),
    ("axum", "web"),
    ("reqwest", "crm"),
    ("rustls", "crm"),
    ("percent_encoding", "crm web"),
    ("async_trait", "crm sync vendors"),
    ("hyper", "camera web"),
    ("hyper_util", "camera web"),
    ("http_auth", "camera"),
    ("socket2", "web"),
    ("utoipa", "web"),
    ("utoipa_axum", "web"),
    ("anyhow", "app cli main"),
    ("clap", "cli main"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("rpassword", "cli"),
    ("sd_notify", "cli"),
    ("prost", "setup"),
    ("zip", "setup"),
    ("tar", "setup"),
    ("flate2", "setup"),
    ("indicatif", "setup"),
    ("prometheus_client", "telemetry"),
    ("tracing_subscriber", "telemetry"),
    ("toml", "camera config setup vision"),
    ("serde", "camera setup store vision web"),
    ("serde_json", "cli crm setup store vendors web"),
    ("tokio", "app camera cli crm greeter shutdown sync web"),
    ("libc", "camera clock memory store"),
    ("strsim", "config names"),
    ("unicode_normalization", "names"),
    ("arc_swap", "gallery"),
    ("chacha20poly1305", "vault"),
    ("hmac", "vault vendors"),
    ("md5", "vendors"),
    ("getrandom", "vault"),
    ("nokhwa", "camera"),
    ("v4l", "camera"),
];

/// Rooms that may start other programs, and the one that may ask the machine for the time.
const STARTS_PROGRAMS: &[&str] = &["camera", "setup"];
const READS_CLOCKS: &[&str] = &["clock"];

const MOST_LINES: usize = 450;

struct Source {
    /// Below the package's folder.
    path: PathBuf,
    room: String,
    code: String,
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut all = Vec::new();
    for path in rust_files("src") {
        let below_src = path.strip_prefix("src").expect("it is in src");
        let first = below_src.components().next().expect("a file has a name");
        let room = Path::new(first.as_os_str()).with_extension("").display().to_string();
        let text = fs::read_to_string(package().join(&path)).expect("sources are text");
        // `mod tests;` puts a room's tests into a file of their own.
        let code = if path.ends_with("tests.rs") { String::new() } else { code(&text) };
        all.push(Source { path, room, code });
    }
    assert!(all.len() > 50, "the sources were found");
    all
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    tree(Path::new(folder)).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
}

/// Every file below a folder of the package, sorted; what is built or fetched there is passed over.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let not_ours = ["target", ".git", ".cache"];
    let mut files = Vec::new();
    for entry in fs::read_dir(package().join(folder)).expect("the folder can be read") {
        let name = entry.expect("the entry can be read").file_name();
        let path = folder.join(&name);
        if not_ours.iter().any(|other| name == *other) {
            continue;
        }
        if package().join(&path).is_dir() { files.extend(tree(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Fails with every fault at once.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn allowed(room: &str) -> BTreeSet<&'static str> {
    let row = ROOMS.iter().find(|(name, _)| *name == room);
    row.map(|(_, uses)| uses.split_whitespace().collect()).unwrap_or_default()
}

#[test]
fn a_room_uses_only_the_rooms_that_the_table_allows() {
    let mut faults = Vec::new();
    for Source { path, room, code } in sources().iter().filter(|s| !["lib", "main"].contains(&s.room.as_str())) {
        if !ROOMS.iter().any(|(name, _)| name == room) {
            faults.push(format!("{}: the room {room} is not in the table of tests/tidy.rs", path.display()));
            continue;
        }
        let allowed = allowed(room);
        for word in words(code).iter().filter(|word| word.text == "crate" && !word.after_path) {
            for used in heads(code, word.end).into_iter().filter(|used| used != room && !allowed.contains(used)) {
                faults.push(format!("{} line {}: {room} may not use crate::{used}", path.display(), word.line));
            }
        }
    }
    none(&faults);
}

#[test]
fn no_room_is_reached_by_climbing_out_of_another() {
    let mut faults = Vec::new();
    for Source { path, code, .. } in &sources() {
        let folders = path.components().count() - 2;
        // `mod.rs` is its folder's module, one step nearer to the crate's root.
        let depth = if path.ends_with("mod.rs") { folders } else { folders + 1 };
        let words = words(code);
        for (index, word) in words.iter().enumerate().filter(|(_, w)| w.text == "super" && !w.after_path) {
            let climbs = words[index..].iter().take_while(|w| w.text == "super").count();
            if climbs >= depth {
                faults.push(format!("{} line {}: name another room by crate::", path.display(), word.line));
            }
        }
    }
    none(&faults);
}

#[test]
fn the_table_has_no_circle_and_no_room_that_is_not_there() {
    // A room may be built when all it uses was built before.
    let mut built = BTreeSet::new();
    let mut left: Vec<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|room| {
            let ready = allowed(room).iter().all(|used| built.contains(used));
            if ready {
                built.insert(*room);
            }
            !ready
        });
        assert!(left.len() < before, "a circle, or an unknown room, among {left:?}");
    }
    let rooms: BTreeSet<String> = sources().into_iter().map(|s| s.room).collect();
    for (room, _) in ROOMS {
        assert!(rooms.contains(*room), "the table names {room}, which is gone");
    }
}

#[test]
fn an_external_crate_is_named_only_where_it_belongs() {
    let mut faults = Vec::new();
    for Source { path, room, code } in &sources() {
        for word in words(code).iter().filter(|word| word.before_path && !word.after_path) {
            let Some((name, rooms)) = CONFINED.iter().find(|(name, _)| *name == word.text) else { continue };
            // A module of ours may bear a crate's name; its path then begins with `self` or `super`.
            if !rooms.split_whitespace().any(|allowed| allowed == room) {
                faults.push(format!("{} line {}: {name} belongs into {rooms}", path.display(), word.line));
            }
        }
    }
    none(&faults);
}

#[test]
fn other_programs_are_started_and_clocks_are_read_only_where_they_belong() {
    let mut faults = Vec::new();
    for Source { path, room, code } in &sources() {
        let mut fault = |line, what: &str, rooms: &[&str]| {
            if !rooms.contains(&room.as_str()) {
                faults.push(format!("{} line {line}: {what} belongs into {}", path.display(), rooms.join(" and ")));
            }
        };
        for word in words(code) {
            let used = heads(code, word.end);
            match word.text {
                "process" if used.contains(&"Command") => fault(word.line, "starting programs", STARTS_PROGRAMS),
                "Instant" | "SystemTime" | "Timestamp" | "Zoned" if used == ["now"] => {
                    fault(word.line, "reading the clock", READS_CLOCKS);
                }
                _ => {}
            }
        }
    }
    none(&faults);
}

#[test]
fn every_file_says_its_purpose_ends_its_last_line_and_is_not_too_long() {
    let mut faults = Vec::new();
    for path in ["src", "tests", "benches"].into_iter().filter(|f| package().join(f).is_dir()).flat_map(rust_files) {
        let text = fs::read_to_string(package().join(&path)).expect("sources are text");
        let mut fault = |what: String| faults.push(format!("{}: {what}", path.display()));
        if !text.starts_with("//! ") {
            fault("its first line does not say its purpose (//!)".to_owned());
        }
        if !text.ends_with('\n') || text.ends_with("\n\n") {
            fault("it does not end with exactly one line break".to_owned());
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            fault(format!("{lines} lines; at most {MOST_LINES}"));
        }
    }
    none(&faults);
}

#[test]
fn nothing_is_left_unfinished_and_nothing_tells_of_the_machine_it_was_written_on() {
    // Put together here, so that this file does not hold them itself.
    let words: Vec<String> = [
        ("to", "do!("),
        ("unimpl", "emented!("),
        ("db", "g!("),
        ("FIX", "ME"),
        ("(being ", "built)"),
        ("/ho", "me/"),
        ("/ro", "ot/"),
        ("/wo", "rk/"),
        ("registry.npmjs", ".org"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("crates", ".io"),
        ("proxy.golang", ".org"),
    ]
    .iter()
    .map(|(a, b)| format!("{a}{b}"))
    .collect();
    let mut faults = Vec::new();
    // The lock file is cargo's, and names its registry.
    for path in tree(Path::new("")).into_iter().filter(|path| !path.ends_with("Cargo.lock")) {
        let bytes = fs::read(package().join(&path)).expect("the file can be read");
        if bytes.len() > 1_000_000 {
            faults.push(format!("{}: {} bytes do not belong into the tree", path.display(), bytes.len()));
        }
        let Ok(text) = String::from_utf8(bytes) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                faults.push(format!("{} line {}: {word}", path.display(), number + 1));
            }
        }
    }
    none(&faults);
}

#[test]
fn types_and_modules_bear_the_words_of_the_house() {
    let avoided = ["person", "user", "faceid", "util", "utils", "helper", "helpers", "manager"];
    let mut faults = Vec::new();
    for Source { path, code, .. } in &sources() {
        let words = words(code);
        for pair in words.windows(2).filter(|p| ["struct", "enum", "trait", "type", "mod"].contains(&p[0].text)) {
            let name = pair[1].text.replace('_', "").to_lowercase();
            if avoided.contains(&name.as_str()) {
                faults.push(format!(
                    "{} line {}: {} is not a word of ours",
                    path.display(),
                    pair[1].line,
                    pair[1].text
                ));
            }
        }
    }
    none(&faults);
}

/// The commands that a help text lists, with their own below them: `customers`, `customers list`, …
fn commands(of: &[String]) -> BTreeMap<Vec<String>, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_snova")).args(of).arg("--help").output().expect("snova starts");
    let help = String::from_utf8(output.stdout).expect("help is text");
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    let mut all = BTreeMap::new();
    for name in names {
        let mut command = of.to_vec();
        command.push(name.to_owned());
        all.extend(commands(&command));
    }
    if !of.is_empty() {
        all.insert(of.to_vec(), help);
    }
    all
}

#[test]
fn every_command_shows_examples_and_stands_in_the_readme() {
    let commands = commands(&[]);
    assert!(commands.contains_key(&["models".to_owned(), "verify".to_owned()][..]), "{:?}", commands.keys());
    let readme = fs::read_to_string(package().join("README.md"));
    let mut faults = Vec::new();
    for (command, help) in &commands {
        let command = format!("snova {}", command.join(" "));
        if !help.contains("Examples:") || !help.contains(&format!("  {command}")) {
            faults.push(format!("{command} --help shows no example of it"));
        }
        let is_own = !command.trim_start_matches("snova ").contains(' ');
        if is_own && readme.as_ref().is_ok_and(|readme| !readme.contains(&command)) {
            faults.push(format!("README.md does not mention {command}"));
        }
    }
    if readme.is_err() {
        eprintln!("there is no README.md yet: the commands in it are not checked");
    }
    none(&faults);
}

#[test]
fn every_room_stands_in_the_architecture_page() {
    let Ok(page) = fs::read_to_string(package().join("ARCHITECTURE.md")) else {
        eprintln!("there is no ARCHITECTURE.md yet: the rooms in it are not checked");
        return;
    };
    let missing: Vec<String> =
        ROOMS.iter().map(|(room, _)| *room).filter(|r| !page.contains(r)).map(str::to_owned).collect();
    none(&missing);
}
