//! `snova check`: what is wrong with this box, and what to do.
//!
//! The machine's side is `machine`'s, Snova's own parts are `parts`'. Nothing is repaired and nothing is made here.

mod folder;
mod machine;
mod parts;

use std::fmt;
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{Outcome, out};
use crate::config::{Config, ConfigError, SEARCH_PATHS};

#[derive(Args)]
#[command(after_help = "One line a finding: ok, note, warning or error; what was found; what to do.
Exit code: 0 all well, 1 warnings, 2 errors.

Examples:
  snova check
  snova check --json
  snova check --config /etc/snova/snova.toml")]
pub struct CheckArgs {
    /// Print one JSON array instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Ok,
    /// To be known, with nothing wrong.
    Note,
    Warning,
    /// Snova does not do its work.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    area: &'static str,
    what: String,
    remedy: Option<String>,
}

pub fn run(args: &CheckArgs, path: Option<&Path>) -> Outcome {
    let findings = examine(path);
    if args.json {
        out::line(serde_json::Value::Array(findings.iter().map(Finding::view).collect()));
    } else {
        findings.iter().for_each(out::line);
    }
    outcome(&findings)
}

fn examine(path: Option<&Path>) -> Vec<Finding> {
    let (config, mut findings) = configuration(path);
    findings.push(machine::processor());
    // Before anything opens the database, which closes a folder that others may write into.
    if let Some(config) = &config {
        findings.extend(folder::folder(&crate::app::settings::store(config).dir));
    }
    findings.push(machine::time(config.as_ref()));
    // With a file that cannot be read it is not known what else there should be.
    let Some(config) = config else { return findings };
    findings.push(parts::runtime(&config));
    findings.extend(parts::pack(&config));
    findings.extend(parts::store(&config));
    findings.extend(parts::copies(&config));
    findings.push(machine::space(&config));
    findings.extend(parts::crm(&config));
    findings.extend(parts::cameras(&config));
    findings.extend(machine::video_decoder(&config));
    findings.push(machine::port(&config));
    findings
}

fn configuration(path: Option<&Path>) -> (Option<Config>, Vec<Finding>) {
    const AREA: &str = "configuration";
    match Config::load(path) {
        Ok(config) => {
            let found = path.or_else(|| SEARCH_PATHS.iter().map(Path::new).find(|path| path.exists()));
            let what = match found {
                Some(path) => format!("{} is valid", path.display()),
                None => format!("no file at {}: the defaults hold", SEARCH_PATHS.join(" or ")),
            };
            (Some(config), vec![Finding::new(Severity::Ok, AREA, what)])
        }
        Err(ConfigError::Invalid(lines)) => {
            (None, lines.iter().map(|line| Finding::from_text(Severity::Error, AREA, line)).collect())
        }
        Err(error) => (None, vec![Finding::from_text(Severity::Error, AREA, &error.to_string())]),
    }
}

fn outcome(findings: &[Finding]) -> Outcome {
    match findings.iter().map(|finding| finding.severity).max() {
        None | Some(Severity::Ok | Severity::Note) => Outcome::Done,
        Some(Severity::Warning) => Outcome::Warnings,
        Some(Severity::Error) => Outcome::Errors,
    }
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    fn new(severity: Severity, area: &'static str, what: impl Into<String>) -> Self {
        Self { severity, area, what: what.into(), remedy: None }
    }

    fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// From an error of ours: what failed stands before its last semicolon, what to do after it.
    fn from_text(severity: Severity, area: &'static str, text: &str) -> Self {
        let text = text.lines().collect::<Vec<_>>().join(" ");
        match text.rsplit_once("; ") {
            Some((what, remedy)) => Self::new(severity, area, what).with_remedy(remedy),
            None => Self::new(severity, area, text),
        }
    }

    fn view(&self) -> serde_json::Value {
        json!({
            "severity": self.severity.as_str(),
            "area": self.area,
            "what": self.what,
            "remedy": self.remedy,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}  {}: {}", self.severity.as_str(), self.area, self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "  — {remedy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity) -> Finding {
        Finding::new(severity, "test", "something")
    }

    #[test]
    fn the_worst_finding_decides_the_outcome() {
        let of = |all: &[Severity]| outcome(&all.iter().map(|s| finding(*s)).collect::<Vec<_>>());
        assert_eq!(of(&[Severity::Ok, Severity::Note]), Outcome::Done);
        assert_eq!(of(&[Severity::Warning, Severity::Ok]), Outcome::Warnings);
        assert_eq!(of(&[Severity::Error, Severity::Warning]), Outcome::Errors);
    }

    #[test]
    fn an_error_is_split_into_what_and_remedy_on_one_line() {
        let found = Finding::from_text(Severity::Error, "store", "the disk;\nfailed; check the cable");
        assert_eq!(found.to_string(), "error    store: the disk; failed  — check the cable");
        assert_eq!(Finding::from_text(Severity::Ok, "a", "b").to_string(), "ok       a: b");
    }

    #[test]
    fn every_fault_of_a_configuration_is_a_finding_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("snova.toml");
        std::fs::write(&file, "[visit]\ndwel_ms = 300\n[log]\nlevel = \"loud\"\n").unwrap();
        let (config, findings) = configuration(Some(&file));
        assert!(config.is_none());
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(findings[0].remedy.as_deref(), Some("did you mean \"dwell_ms\"?"));
        assert_eq!(outcome(&findings), Outcome::Errors);
    }
}
