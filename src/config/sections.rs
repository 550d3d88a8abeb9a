//! The sections and keys of `snova.toml`, their ranges and what must hold between them.
//!
//! Their defaults are in `super`; what they mean to the owner is in `firmware-config/snova.toml`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::de::DeTable;

use super::reader::{Faults, Section};
use super::{Camera, Config, Counter, Device, Log, Recognition, Runtime, Store, Visit, Web};
use super::{crm, sources};
use crate::customer::Country;
use crate::face::{CameraId, CounterId};
use crate::greeting::DayHours;
use crate::i18n::Language;

/// Reads everything; whatever is wrong is noted in `faults` and has its default in the result.
pub(super) fn config(faults: &mut Faults) -> Config {
    let document: DeTable = faults.document();
    let mut root = Section::root(&document);
    let device = device(root.section(faults, "device"), faults);
    let config = Config {
        web: web(root.section(faults, "web"), faults),
        runtime: runtime(root.section(faults, "runtime"), faults),
        recognition: recognition(root.section(faults, "recognition"), faults),
        visit: visit(root.section(faults, "visit"), faults),
        greeting: greeting(root.section(faults, "greeting"), faults),
        store: store(root.section(faults, "store"), faults),
        log: log(root.section(faults, "log"), faults),
        crm: crm::crm(root.section(faults, "crm"), faults, &device),
        counters: counters(faults, &mut root, device.language),
        device,
    };
    root.close(faults);
    config
}

fn device(mut section: Section, faults: &mut Faults) -> Device {
    let default = Device::default();
    let language = section.parsed(faults, "language", str::parse).unwrap_or(default.language);
    let box_name = section.parsed(faults, "name", name).map_or(default.name, str::to_owned);
    let device = Device {
        store: section.parsed(faults, "store", name).map_or_else(|| box_name.clone(), str::to_owned),
        name: box_name,
        language,
        country: section.parsed(faults, "country", str::parse).or(country_of(language)),
        time_zone: section.parsed(faults, "time_zone", time_zone).unwrap_or(default.time_zone),
        data_dir: section.parsed(faults, "data_dir", path).unwrap_or(default.data_dir),
    };
    section.close(faults);
    device
}

/// The country whose numbers a shop of this language most likely means; English says nothing about it.
pub(super) fn country_of(language: Language) -> Option<Country> {
    match language {
        Language::Russian => "RU".parse().ok(),
        Language::Ukrainian => "UA".parse().ok(),
        Language::English => None,
    }
}

fn web(mut section: Section, faults: &mut Faults) -> Web {
    let listen = section.parsed(faults, "listen", |text| {
        text.parse().map_err(|_| format!("{text:?} is not an address with a port; give one such as \"127.0.0.1:8642\""))
    });
    section.close(faults);
    listen.map_or_else(Web::default, |listen| Web { listen })
}

fn runtime(mut section: Section, faults: &mut Faults) -> Runtime {
    let default = Runtime::default();
    let runtime = Runtime {
        library: section.parsed(faults, "library", optional_path).unwrap_or(default.library),
        packs_dir: section.parsed(faults, "packs_dir", optional_path).unwrap_or(default.packs_dir),
        pack: section.parsed(faults, "pack", name).map_or(default.pack, str::to_owned),
        allow_noncommercial: section.flag(faults, "allow_noncommercial", default.allow_noncommercial),
        threads: section.whole(faults, "threads", default.threads, 1..=64),
    };
    section.close(faults);
    runtime
}

fn recognition(mut section: Section, faults: &mut Faults) -> Recognition {
    let default = Recognition::default();
    let recognition = Recognition {
        fpir: section.number(faults, "fpir", default.fpir, 0.000_001..=0.1),
        maybe_fpir: section.number(faults, "maybe_fpir", default.maybe_fpir, 0.000_001..=0.5),
        margin: section.number(faults, "margin", f64::from(default.margin), 0.0..=1.0) as f32,
        shots: section.whole(faults, "shots", default.shots, 1..=32),
        min_shots: section.whole(faults, "min_shots", default.min_shots, 1..=32),
        attempts: section.whole(faults, "attempts", default.attempts, 1..=1_000),
        detect_long_side: section.whole(faults, "detect_long_side", default.detect_long_side, 160..=4_096),
        min_face_px: section.whole(faults, "min_face_px", default.min_face_px, 20..=1_000),
    };
    if recognition.maybe_fpir < recognition.fpir {
        section.fault(
            faults,
            &["maybe_fpir", "fpir"],
            format!(
                "a question ({}) must not be rarer than a greeting ({}); raise maybe_fpir or lower fpir",
                recognition.maybe_fpir, recognition.fpir
            ),
        );
    }
    if recognition.min_shots > recognition.shots {
        section.fault(
            faults,
            &["min_shots", "shots"],
            format!(
                "{} of {} shots cannot be had; lower min_shots or raise shots",
                recognition.min_shots, recognition.shots
            ),
        );
    }
    if recognition.attempts < recognition.shots {
        section.fault(
            faults,
            &["attempts", "shots"],
            format!(
                "{} attempts do not make {} shots; raise attempts or lower shots",
                recognition.attempts, recognition.shots
            ),
        );
    }
    section.close(faults);
    recognition
}

fn visit(mut section: Section, faults: &mut Faults) -> Visit {
    let default = Visit::default();
    let mut millis = |section: &mut Section, key, default: Duration, range| {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(section.whole(faults, key, default, range))
    };
    let dwell = millis(&mut section, "dwell_ms", default.dwell, 0..=60_000);
    let absence = millis(&mut section, "absence_ms", default.absence, 200..=600_000);
    let merge = Duration::from_secs(section.whole(faults, "merge_s", default.merge.as_secs(), 0..=86_400));
    let card_hold = Duration::from_secs(section.whole(faults, "card_hold_s", default.card_hold.as_secs(), 5..=3_600));
    if !merge.is_zero() && merge < absence {
        section.fault(
            faults,
            &["merge_s", "absence_ms"],
            "the time to return ends before the visit does; give merge_s = 0 to merge nothing, or raise it",
        );
    }
    let served_by = section.flag(faults, "served_by", default.served_by);
    section.close(faults);
    Visit { dwell, absence, merge, card_hold, served_by }
}

fn greeting(mut section: Section, faults: &mut Faults) -> DayHours {
    let default = DayHours::default();
    let hours = DayHours {
        morning_from: section.whole(faults, "morning_from", default.morning_from, 0..=23),
        day_from: section.whole(faults, "day_from", default.day_from, 1..=23),
        evening_from: section.whole(faults, "evening_from", default.evening_from, 1..=23),
        night_from: section.whole(faults, "night_from", default.night_from, 1..=24),
    };
    for (earlier, later) in [
        (("morning_from", hours.morning_from), ("day_from", hours.day_from)),
        (("day_from", hours.day_from), ("evening_from", hours.evening_from)),
        (("evening_from", hours.evening_from), ("night_from", hours.night_from)),
    ] {
        if earlier.1 >= later.1 {
            let what = format!("{} is not before {}; put the hours in ascending order", earlier.1, later.1);
            section.fault(faults, &[later.0, earlier.0], what);
        }
    }
    section.close(faults);
    hours
}

fn store(mut section: Section, faults: &mut Faults) -> Store {
    const LEAST_MB: u64 = 16;
    let max_mb: u64 = section.whole(faults, "max_mb", 0, 0..=1_000_000);
    if (1..LEAST_MB).contains(&max_mb) {
        let what = format!("{max_mb} MB does not hold a store; give at least {LEAST_MB}, or 0 for no bound");
        section.fault(faults, &["max_mb"], what);
    }
    let default = Store::default().keep_visits_days.unwrap_or_default();
    let keep_days = section.whole(faults, "keep_visits", default, 0..=36_500);
    section.close(faults);
    Store { max_mb: (max_mb > 0).then_some(max_mb), keep_visits_days: (keep_days > 0).then_some(keep_days) }
}

fn log(mut section: Section, faults: &mut Faults) -> Log {
    let level = section.parsed(faults, "level", |text| match text {
        "error" => Ok(tracing::Level::ERROR),
        "warn" => Ok(tracing::Level::WARN),
        "info" => Ok(tracing::Level::INFO),
        "debug" => Ok(tracing::Level::DEBUG),
        "trace" => Ok(tracing::Level::TRACE),
        _ => Err(format!("{text:?} is not a level; give error, warn, info, debug or trace")),
    });
    let default = Log::default();
    let log = Log {
        level: level.unwrap_or(default.level),
        file: section.parsed(faults, "file", optional_path).unwrap_or(default.file),
        max_mb: section.whole(faults, "max_mb", default.max_mb, 1..=10_000),
    };
    section.close(faults);
    log
}

fn counters(faults: &mut Faults, root: &mut Section, device_language: Language) -> Vec<Counter> {
    let Some(sections) = root.tables(faults, "counter", "[[counter]]") else {
        return vec![Counter::named("till-1", device_language)];
    };
    if sections.is_empty() {
        root.fault(faults, &["counter"], "a box serves at least one counter; add [[counter]] with a name");
    }
    let (mut counters, mut names, mut camera_names) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for mut section in sections {
        let name = required_name(faults, &mut section, "till-1", &mut names);
        let language = section.parsed(faults, "language", str::parse).unwrap_or(device_language);
        let cameras = cameras(faults, &mut section, &mut camera_names);
        section.close(faults);
        counters.push(Counter { name: CounterId::new(name), language, cameras });
    }
    counters
}

fn cameras(faults: &mut Faults, counter: &mut Section, names: &mut BTreeSet<String>) -> Vec<Camera> {
    let mut cameras = Vec::new();
    for mut section in counter.tables(faults, "camera", "[[counter.camera]]").unwrap_or_default() {
        let name = required_name(faults, &mut section, "till-1-front", names);
        let source = sources::source(faults, &mut section);
        section.close(faults);
        cameras.extend(source.map(|source| Camera { name: CameraId::new(name), source }));
    }
    cameras
}

/// The `name` of a counter or camera, which no other may bear.
fn required_name(faults: &mut Faults, section: &mut Section, example: &str, taken: &mut BTreeSet<String>) -> String {
    let given = section.parsed(faults, "name", name).unwrap_or_default().to_owned();
    if !section.has("name") {
        section.missing(faults, "name", example);
    }
    if !given.is_empty() && !taken.insert(given.clone()) {
        section.fault(faults, &["name"], format!("{given:?} is taken already; give each a name of its own"));
    }
    given
}

/// A name that can stand in an address, a log line and a file name.
fn name(text: &str) -> Result<&str, String> {
    const MAX_CHARS: usize = 64;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && text.len() <= MAX_CHARS && text.chars().all(allowed) {
        Ok(text)
    } else {
        Err(format!(
            "{text:?} cannot be a name; give 1 to {MAX_CHARS} Latin letters, digits, \"-\", \"_\" or \".\", a letter or digit first"
        ))
    }
}

fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        Err("the path is empty; give one".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}

fn time_zone(text: &str) -> Result<TimeZone, String> {
    if text == "system" {
        return Ok(TimeZone::system());
    }
    TimeZone::get(text)
        .map_err(|_| format!("{text:?} is not a time zone; give \"system\" or an IANA name such as \"Europe/Kyiv\""))
}

/// The documented file with its commented defaults in force, and its examples too if asked: a default
/// stands right after its `#`, an example four spaces behind it, prose one.
#[cfg(test)]
pub(super) fn uncommented(documented: &str, with_examples: bool) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(example) if example.starts_with("    ") => {
            if with_examples {
                example.trim_start().to_owned()
            } else {
                String::new()
            }
        }
        Some(default) if !default.starts_with(' ') => default.to_owned(),
        _ => line.to_owned(),
    };
    documented.lines().map(line).collect::<Vec<_>>().join("\n")
}
