//! `snova models`: which packs there are, under which terms, and whether their files are what they should be.
//!
//! Finding a pack for use is `crate::app::Places`'; comparing one with its manifest is `crate::vision`'s.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::out;
use crate::app::{Places, settings};
use crate::config::Config;
use crate::setup::Manifests;
use crate::vision::golden::{self, GoldenCases};
use crate::vision::manifest::{Licence, ManifestError, PackManifest, Source};
use crate::vision::{self, VisionConfig};

#[derive(Args)]
#[command(after_help = "Examples:\n  snova models list\n  snova models verify\n  snova models verify yunet-sface")]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// The packs of this machine: licences, what is known of the training data, thresholds, weights
    #[command(after_help = "Examples:\n  snova models list\n  snova models list --json")]
    List {
        /// Print one JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// Compare weights, graphs and outputs with what the manifest says; one line a pack
    #[command(after_help = "Examples:\n  snova models verify\n  snova models verify centerface-mobilefacenet")]
    Verify {
        /// Only these; one that is named must be complete [default: all that are found]
        #[arg(value_name = "PACK")]
        packs: Vec<String>,
    },
}

/// A folder with a manifest in it.
pub(super) struct Found {
    pub dir: PathBuf,
    pub manifest: Result<PackManifest, ManifestError>,
    pub in_use: bool,
}

pub fn run(args: &ModelsArgs, config: &Config) -> Result<()> {
    match &args.command {
        ModelsCommand::List { json } => list(*json, config),
        ModelsCommand::Verify { packs } => verify(packs, config),
    }
}

/// All packs, in the order in which they would be found for use; the same folder once.
pub(super) fn found(config: &Config) -> Vec<Found> {
    let places = Places::packs(config.runtime.packs_dir.as_deref());
    let mut dirs: Vec<PathBuf> = Vec::new();
    for place in places {
        let entries = std::fs::read_dir(&place).into_iter().flatten().flatten();
        let mut packs: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.join("pack.toml").is_file()).collect();
        packs.sort();
        dirs.extend(packs.into_iter().map(|pack| pack.canonicalize().unwrap_or(pack)));
    }
    let mut all: Vec<Found> = Vec::new();
    for dir in dirs {
        if all.iter().any(|known| known.dir == dir) {
            continue;
        }
        // The first folder of the configured name is the one that is used.
        let in_use = dir.file_name().is_some_and(|name| *name == *config.runtime.pack) && !all.iter().any(|f| f.in_use);
        all.push(Found { manifest: PackManifest::read(&dir), dir, in_use });
    }
    all
}

impl Found {
    fn name(&self) -> String {
        match &self.manifest {
            Ok(manifest) => manifest.name.clone(),
            Err(_) => self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

/// The weight files that are absent.
fn absent(dir: &Path, manifest: &PackManifest) -> Vec<String> {
    let files = [&manifest.detector.file, &manifest.embedder.file];
    files.into_iter().filter(|file| !dir.join(file).is_file()).cloned().collect()
}

/// Whether the owner puts every absent file there, so that its absence is no fault.
fn is_left_to_owner(dir: &Path, manifest: &PackManifest) -> bool {
    let models =
        [(&manifest.detector.file, &manifest.detector.source), (&manifest.embedder.file, &manifest.embedder.source)];
    let mut gone = models.into_iter().filter(|(file, _)| !dir.join(file).is_file()).peekable();
    gone.peek().is_some() && gone.all(|(_, source)| matches!(source, Source::User { .. }))
}

fn list(json: bool, config: &Config) -> Result<()> {
    let packs = found(config);
    if json {
        out::line(serde_json::Value::Array(packs.iter().map(view).collect()));
        return Ok(());
    }
    if packs.is_empty() {
        out::line("no model packs are installed; run `snova setup`");
    }
    for pack in &packs {
        let used = if pack.in_use { "  (in use)" } else { "" };
        out::line(format_args!("{}{used}", pack.name()));
        out::line(format_args!("  where       {}", pack.dir.display()));
        match &pack.manifest {
            Ok(manifest) => out::line(describe(&pack.dir, manifest).trim_end()),
            Err(error) => out::line(format_args!("  unusable    {error}")),
        }
    }
    Ok(())
}

fn describe(dir: &Path, manifest: &PackManifest) -> String {
    let mut text = format!("  what        {}\n", manifest.summary);
    for (model, licence) in [("detector", &manifest.detector.licence), ("embedder", &manifest.embedder.licence)] {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {model:<11} licence {} ({})", licence.weights, allows(licence));
        let _ = writeln!(text, "              stated in: {}", licence.stated_in);
        let _ = writeln!(text, "              training data: {}", licence.training_data);
    }
    let thresholds = &manifest.thresholds;
    let measured = if thresholds.rows.is_empty() { "none: this pack names nobody" } else { &thresholds.evaluation };
    let _ = writeln!(text, "  thresholds  {measured}");
    let absent = absent(dir, manifest);
    let weights = match (absent.is_empty(), is_left_to_owner(dir, manifest)) {
        (true, _) => "present".to_owned(),
        (false, true) => format!("not supplied: put {} there", absent.join(" and ")),
        (false, false) => format!("{} missing; run `snova setup`", absent.join(" and ")),
    };
    let _ = writeln!(text, "  weights     {weights}");
    text
}

pub(super) fn allows(licence: &Licence) -> &'static str {
    if licence.commercial_use { "permits commercial use" } else { "forbids commercial use" }
}

fn view(pack: &Found) -> serde_json::Value {
    let manifest = match &pack.manifest {
        Ok(manifest) => manifest,
        Err(error) => {
            return json!({ "name": pack.name(), "dir": pack.dir, "in_use": pack.in_use, "error": error.to_string() });
        }
    };
    let licence = |l: &Licence| {
        json!({
            "licence": l.weights,
            "stated_in": l.stated_in,
            "commercial_use": l.commercial_use,
            "training_data": l.training_data,
        })
    };
    json!({
        "name": manifest.name,
        "dir": pack.dir,
        "in_use": pack.in_use,
        "summary": manifest.summary,
        "detector": licence(&manifest.detector.licence),
        "embedder": licence(&manifest.embedder.licence),
        "threshold_rows": manifest.thresholds.rows.len(),
        "threshold_evaluation": manifest.thresholds.evaluation,
        "absent_weights": absent(&pack.dir, manifest),
    })
}

/// What a verification found.
enum Verdict {
    Good { golden: bool },
    NotSupplied,
    Bad(String),
}

fn verify(names: &[String], config: &Config) -> Result<()> {
    let packs = found(config);
    if let Some(unknown) = names.iter().find(|name| !packs.iter().any(|pack| pack.name() == **name)) {
        anyhow::bail!("there is no pack \"{unknown}\"; look at `snova models list`");
    }
    let chosen = |pack: &&Found| names.is_empty() || names.contains(&pack.name());
    let packs: Vec<&Found> = packs.iter().filter(chosen).collect();
    if packs.is_empty() {
        anyhow::bail!("no model packs are installed; run `snova setup`");
    }
    let mut failures = Vec::new();
    for pack in packs {
        let (name, dir) = (pack.name(), pack.dir.display());
        match verdict(pack, !names.is_empty(), config) {
            Verdict::Good { golden: true } => {
                out::line(format_args!("{name}: good: hashes, graphs and golden outputs  ({dir})"));
            }
            Verdict::Good { golden: false } => {
                out::line(format_args!("{name}: good: hashes and graphs; it has no golden outputs  ({dir})"));
            }
            Verdict::NotSupplied => out::line(format_args!("{name}: not supplied: its weights are the owner's to add")),
            Verdict::Bad(why) => {
                out::line(format_args!("{name}: bad  ({dir})"));
                failures.push(why);
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { anyhow::bail!("{}", failures.join("; ")) }
}

fn verdict(pack: &Found, named: bool, config: &Config) -> Verdict {
    let manifest = match &pack.manifest {
        Ok(manifest) => manifest,
        Err(error) => return Verdict::Bad(error.to_string()),
    };
    if !named && is_left_to_owner(&pack.dir, manifest) {
        return Verdict::NotSupplied;
    }
    examine(&pack.dir, manifest, config).map_or_else(|e| Verdict::Bad(e.to_string()), |golden| Verdict::Good { golden })
}

/// Hashes, graphs against the manifest, golden outputs; whether there were any of those. The files are told
/// before the runtime is needed.
pub(super) fn examine(dir: &Path, manifest: &PackManifest, config: &Config) -> Result<bool> {
    vision::verify_files(dir)?;
    // Looking whether files are right is no use of the models that a licence could forbid.
    let settings = VisionConfig { allow_noncommercial: true, ..settings::vision(config) };
    let library = super::runtime_library(config)?;
    drop(vision::open(dir, &library, &settings)?);
    let Some(text) = golden_text(dir, manifest) else { return Ok(false) };
    let cases = GoldenCases::parse(&text)?;
    for file in [&manifest.detector.file, &manifest.embedder.file] {
        golden::check(&dir.join(file), cases.of(file))?;
    }
    Ok(true)
}

/// Beside the manifest, or what this release knows of the pack.
fn golden_text(dir: &Path, manifest: &PackManifest) -> Option<String> {
    let shipped = || {
        let known = Manifests::SHIPPED.packs.iter().find(|texts| {
            PackManifest::parse(texts.manifest, Path::new("pack.toml")).is_ok_and(|shipped| {
                (shipped.detector.sha256, shipped.embedder.sha256)
                    == (manifest.detector.sha256.clone(), manifest.embedder.sha256.clone())
            })
        });
        known.and_then(|texts| texts.golden).map(str::to_owned)
    };
    std::fs::read_to_string(dir.join("golden.toml")).ok().or_else(shipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(nth: usize) -> PackManifest {
        PackManifest::parse(Manifests::SHIPPED.packs[nth].manifest, Path::new("pack.toml")).unwrap()
    }

    #[test]
    fn absent_weights_are_a_fault_unless_the_owner_supplies_them() {
        let dir = tempfile::tempdir().unwrap();
        let (fetched, supplied) = (shipped(0), shipped(1));
        assert!(!is_left_to_owner(dir.path(), &fetched));
        assert!(is_left_to_owner(dir.path(), &supplied));
        std::fs::write(dir.path().join(&supplied.detector.file), b"x").unwrap();
        assert_eq!(absent(dir.path(), &supplied), std::slice::from_ref(&supplied.embedder.file));
        assert!(is_left_to_owner(dir.path(), &supplied), "one of two is still for the owner to add");
        std::fs::write(dir.path().join(&supplied.embedder.file), b"x").unwrap();
        assert!(!is_left_to_owner(dir.path(), &supplied), "wrong files are a fault");
    }

    #[test]
    fn the_list_states_licence_and_training_data_of_both_models() {
        let manifest = shipped(0);
        let text = describe(Path::new("nowhere"), &manifest);
        for licence in [&manifest.detector.licence, &manifest.embedder.licence] {
            assert!(text.contains(&licence.training_data) && text.contains(&licence.stated_in), "{text}");
        }
        assert!(text.contains("centerface.onnx and mobilefacenet.onnx missing; run `snova setup`"), "{text}");
    }

    #[test]
    fn golden_outputs_of_this_release_are_known_without_the_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(golden_text(dir.path(), &shipped(0)).is_some());
        assert!(golden_text(dir.path(), &shipped(1)).is_none());
        std::fs::write(dir.path().join("golden.toml"), "case = []").unwrap();
        assert_eq!(golden_text(dir.path(), &shipped(1)).as_deref(), Some("case = []"));
    }
}
