//! What `snova check` asks of Snova's own parts: runtime, pack, store, cameras.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::machine::{is_held, nearest_existing};
use super::{Finding, Severity};
use crate::app::{Places, settings};
use crate::cli::look::{self, Look, look};
use crate::cli::{self, models};
use crate::config::{self, Config, Source};
use crate::store::{KeyState, Store, copies};
use crate::sync::notes;
use crate::vision;
use crate::vision::manifest::{Licence, PackManifest};

pub(super) fn runtime(config: &Config) -> Finding {
    const AREA: &str = "runtime";
    let loaded = cli::runtime_library(config).and_then(|library| {
        vision::runtime::load(&library)?;
        Ok(library)
    });
    match loaded {
        Ok(library) => Finding::new(Severity::Ok, AREA, format!("ONNX Runtime {} loads", library.display())),
        Err(error) => Finding::from_text(Severity::Error, AREA, &format!("{error:#}")),
    }
}

pub(super) fn pack(config: &Config) -> Vec<Finding> {
    const AREA: &str = "pack";
    let runtime = &config.runtime;
    let dir = match Places::pack(runtime.packs_dir.as_deref(), &runtime.pack) {
        Ok(dir) => dir,
        Err(error) => return vec![Finding::from_text(Severity::Error, AREA, &error.to_string())],
    };
    let manifest = match PackManifest::read(&dir) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::from_text(Severity::Error, AREA, &error.to_string())],
    };
    let mut findings = vec![files(&dir, &manifest, config)];
    for (model, licence) in [("detector", &manifest.detector.licence), ("embedder", &manifest.embedder.licence)] {
        findings.push(terms(model, licence, runtime.allow_noncommercial));
        findings.push(Finding::new(Severity::Note, "training data", format!("{model}: {}", licence.training_data)));
    }
    findings.push(thresholds(&manifest));
    findings
}

fn files(dir: &Path, manifest: &PackManifest, config: &Config) -> Finding {
    const AREA: &str = "pack";
    match models::examine(dir, manifest, config) {
        Ok(golden) => {
            let golden = if golden { " and golden outputs" } else { "" };
            let what = format!("{} at {}: hashes, graphs{golden} are right", manifest.name, dir.display());
            Finding::new(Severity::Ok, AREA, what)
        }
        Err(error) => Finding::from_text(Severity::Error, AREA, &format!("{error:#}")),
    }
}

fn terms(model: &str, licence: &Licence, allow_noncommercial: bool) -> Finding {
    let severity = match (licence.commercial_use, allow_noncommercial) {
        (true, _) => Severity::Ok,
        (false, true) => Severity::Warning,
        (false, false) => Severity::Error,
    };
    let (weights, stated_in) = (&licence.weights, &licence.stated_in);
    let what = format!("{model}: {weights}, which {}; stated in: {stated_in}", models::allows(licence));
    let finding = Finding::new(severity, "licence", what);
    if severity == Severity::Ok { finding } else { finding.with_remedy("choose another pack for a shop") }
}

fn thresholds(manifest: &PackManifest) -> Finding {
    const AREA: &str = "thresholds";
    match manifest.thresholds.rows.len() {
        0 => {
            Finding::new(Severity::Error, AREA, format!("the pack \"{}\" has none, so it names nobody", manifest.name))
                .with_remedy("run `snova eval --calibrate FOLDER` and put the rows into its pack.toml")
        }
        rows => Finding::new(Severity::Ok, AREA, format!("{rows} rows: {}", manifest.thresholds.evaluation)),
    }
}

pub(super) fn store(config: &Config) -> Vec<Finding> {
    const AREA: &str = "store";
    let looked = cli::existing_store(config).and_then(|store| match store {
        Some(store) => look_at_store(&store).map(Some),
        None => Ok(None),
    });
    match looked {
        Ok(Some(findings)) => findings,
        Ok(None) => vec![future_store(config)],
        Err(error) => vec![Finding::from_text(Severity::Error, AREA, &format!("{error:#}"))],
    }
}

/// Copies that Snova made of the database: they hold customers as the database does.
pub(super) fn copies(config: &Config) -> Option<Finding> {
    let copies = copies::list(&settings::store(config).dir).ok().filter(|copies| !copies.is_empty())?;
    let names: Vec<_> = copies.iter().filter_map(|copy| copy.path.file_name()?.to_str()).collect();
    let what = format!("Snova made copies of the database: {}", names.join(", "));
    Some(
        Finding::new(Severity::Note, "copies", what)
            .with_remedy("none: erasures reach them, and they go by themselves"),
    )
}

/// Every row that cannot be read by name; then whether all else is whole.
fn look_at_store(store: &Store) -> Result<Vec<Finding>> {
    const AREA: &str = "store";
    let path = store.path().display();
    let key = match store.key_state()? {
        KeyState::Fine => None,
        KeyState::Missing => Some("is missing"),
        KeyState::Mismatch => Some("is not the one that this database's values are sealed with"),
    };
    let mut findings: Vec<Finding> = key
        .map(|what| {
            Finding::new(
                Severity::Error,
                AREA,
                format!("the device key beside {path} {what}: cards, phones and passwords do not open"),
            )
            .with_remedy("put device.key back from a copy, or accept the loss with `snova store accept-loss`")
        })
        .into_iter()
        .collect();
    for row in store.unreadable_rows()? {
        let what =
            format!("customer {}: a row of {} cannot be read; they are not greeted by it", row.customer, row.table);
        let remedy = "put a copy of the data folder back, or erase and enrol them anew";
        findings.push(Finding::new(Severity::Error, AREA, what).with_remedy(remedy));
    }
    match store.verify() {
        Ok(()) if findings.is_empty() => {
            let customers = store.customers()?.len();
            findings.push(Finding::new(Severity::Ok, AREA, format!("{path} is whole; customers: {customers}")));
        }
        // What is said already is not said twice.
        Err(error) if findings.is_empty() || error.is_damage() => {
            findings.push(Finding::from_text(Severity::Error, AREA, &error.to_string()));
        }
        Ok(()) | Err(_) => {}
    }
    Ok(findings)
}

/// Whether the data folder could be made, found out without leaving anything.
fn future_store(config: &Config) -> Finding {
    const AREA: &str = "store";
    let dir = settings::store(config).dir;
    match tempfile::tempfile_in(nearest_existing(&dir)) {
        Ok(_) => {
            Finding::new(Severity::Note, AREA, format!("none yet; the first enrolment makes it in {}", dir.display()))
        }
        Err(cause) => {
            Finding::new(Severity::Error, AREA, format!("the data folder {} cannot be used: {cause}", dir.display()))
                .with_remedy("let Snova's user write there or configure another one")
        }
    }
}

/// What can be told without asking the CRM; `snova crm probe` asks it.
pub(super) fn crm(config: &Config) -> Vec<Finding> {
    const AREA: &str = "crm";
    let target = &config.crm.vendor;
    if !config.crm.is_some() {
        return vec![
            Finding::new(Severity::Note, AREA, "none is configured: visits wait in the outbox")
                .with_remedy("to deliver them, set kind in [crm] and run `snova crm probe`"),
        ];
    }
    let looked = cli::existing_store(config).and_then(|store| {
        let Some(store) = store else { return Ok(None) };
        let other_key = store.other_company_key(store.current_target()?)?;
        Ok(Some((store.secret_names()?, store.sync_state()?, store.outbox_status()?, other_key)))
    });
    let (kept, state, outbox, other_key) = match looked {
        Ok(looked) => looked.unwrap_or_default(),
        Err(error) => return vec![Finding::from_text(Severity::Error, AREA, &format!("{error:#}"))],
    };
    let mut findings = Vec::new();
    if !config.crm.secret_names().iter().any(|name| kept.iter().any(|kept| kept == name)) {
        findings.push(
            Finding::new(Severity::Error, AREA, format!("{} has no login: no secret of it is kept", target.as_str()))
                .with_remedy("see `snova crm secret`"),
        );
    }
    if let Some(class) = state.error_class {
        let what = format!("the delivery to {} fails ({class}): {}", target.as_str(), state.error.unwrap_or_default());
        findings.push(Finding::new(Severity::Warning, AREA, what).with_remedy("run `snova crm probe`"));
    }
    if outbox.dead > 0 {
        let what = format!("{} events were given up and are not in the CRM", outbox.dead);
        findings.push(Finding::new(Severity::Warning, AREA, what).with_remedy("see `snova sync status`"));
    }
    for (_, note) in notes(&outbox, None, other_key.as_deref(), cli::system_clock().wall().at) {
        findings.push(Finding::from_text(Severity::Warning, AREA, &note));
    }
    if state.unlinked > 0 {
        let what = format!("{} customers have visits and no contact in the CRM", state.unlinked);
        findings.push(Finding::new(Severity::Warning, AREA, what).with_remedy("see `snova sync status`"));
    }
    if findings.is_empty() {
        let last = state
            .last_success
            .map_or_else(|| "nothing was delivered yet".to_owned(), |at| format!("last delivery {at}"));
        findings.push(Finding::new(Severity::Ok, AREA, format!("{}: {last}", target.as_str())));
    }
    findings
}

pub(super) fn cameras(config: &Config) -> Vec<Finding> {
    let all: Vec<&config::Camera> = config.counters.iter().flat_map(|counter| &counter.cameras).collect();
    if all.is_empty() {
        return vec![
            Finding::new(Severity::Note, "camera", "none is configured: customers are greeted by card and phone only")
                .with_remedy("to see them too, add a [[counter.camera]] to the configuration"),
        ];
    }
    let at_work = is_held(&settings::store(config).dir);
    all.into_iter().map(|one| camera(one, config, at_work)).collect()
}

/// Opens a source and looks at its first picture.
fn camera(camera: &config::Camera, config: &Config, at_work: bool) -> Finding {
    const AREA: &str = "camera";
    // An RTSP camera sends a whole picture only every few seconds.
    const PATIENCE: Duration = Duration::from_secs(15);
    let (name, kind) = (&camera.name, camera.source.as_str());
    // A USB camera gives its pictures to one program at a time, and opening it twice could take another's.
    if at_work && matches!(camera.source, Source::Usb(_)) {
        let what = format!("\"{name}\" ({kind}) was not opened: the `snova run` of this data folder has it");
        return Finding::new(Severity::Note, AREA, what);
    }
    match cli::camera_spec(camera, config).and_then(|spec| look(&spec, 1, PATIENCE)) {
        Ok(Some(Look { picture, first_after, .. })) => {
            let (format, first_ms) = (look::format_of(&picture), first_after.as_millis());
            match picture.into_rgb() {
                Ok(picture) => {
                    let (width, height) = picture.dimensions();
                    let what = format!(
                        "\"{name}\" gives pictures ({kind}, {format} {width}x{height}, the first after {first_ms} ms)"
                    );
                    Finding::new(Severity::Ok, AREA, what)
                }
                Err(error) => Finding::from_text(Severity::Error, AREA, &format!("\"{name}\": {error}")),
            }
        }
        Ok(None) => Finding::new(Severity::Error, AREA, format!("\"{name}\" has no pictures"))
            .with_remedy("give another recording"),
        Err(error) => Finding::from_text(Severity::Error, AREA, &format!("\"{name}\": {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::UsbConfig;
    use crate::face::CameraId;

    #[test]
    fn a_forbidding_licence_is_an_error_and_a_warning_where_it_was_allowed_for_evaluation() {
        let licence = |commercial_use| Licence {
            weights: "CC-BY-NC-4.0".to_owned(),
            stated_in: "README".to_owned(),
            commercial_use,
            training_data: String::new(),
        };
        assert_eq!(terms("embedder", &licence(true), false).severity, Severity::Ok);
        assert_eq!(terms("embedder", &licence(false), true).severity, Severity::Warning);
        assert_eq!(terms("embedder", &licence(false), false).severity, Severity::Error);
    }

    #[test]
    fn a_store_that_is_not_there_is_no_fault_and_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.device.data_dir = dir.path().join("data");
        assert_eq!(store(&config)[0].severity, Severity::Note);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        std::fs::write(dir.path().join("file"), b"x").unwrap();
        config.device.data_dir = dir.path().join("file/data");
        let found = &store(&config)[0];
        assert_eq!(found.severity, Severity::Error, "{found}");
        assert!(found.remedy.is_some());
    }

    #[test]
    fn a_camera_that_does_not_open_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        assert_eq!(cameras(&config)[0].severity, Severity::Note);
        let camera = config::Camera {
            name: CameraId::new("door"),
            source: Source::Images(config::Recording { path: dir.path().to_owned(), repeat: false }),
        };
        config.counters[0].cameras.push(camera);
        let found = &cameras(&config)[0];
        assert_eq!(found.severity, Severity::Error);
        assert!(found.what.contains("\"door\"") && found.remedy.is_some(), "{found}");
    }

    #[test]
    fn a_usb_camera_at_work_is_not_taken_from_the_service() {
        let source = Source::Usb(UsbConfig { device: Some("/dev/video-of-nowhere".into()), ..UsbConfig::default() });
        let front = config::Camera { name: CameraId::new("front"), source };
        let found = camera(&front, &Config::default(), true);
        assert_eq!(found.severity, Severity::Note, "{found}");
        assert!(found.what.contains("`snova run`"), "{found}");
    }
}
