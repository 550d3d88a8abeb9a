//! What `snova check` asks of the machine: processor, clock, disk, port, programs.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Finding, Severity};
use crate::app::settings;
use crate::cli;
use crate::clock::{REMEDY, Trust};
use crate::config::{Config, Source};
use crate::setup::tools::Host;
use crate::store;
use crate::web::{self, WebError};

/// Below this the database may soon be full: years of visits fit into it, a runaway log does not.
const LITTLE_SPACE_MB: u64 = 500;
const NO_SPACE_MB: u64 = 20;

pub(super) fn processor() -> Finding {
    const AREA: &str = "processor";
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plural = if cores == 1 { "core" } else { "cores" };
    let architecture = std::env::consts::ARCH;
    #[cfg(target_arch = "x86_64")]
    if !std::is_x86_feature_detected!("avx2") {
        return Finding::new(
            Severity::Warning,
            AREA,
            format!("{cores} {plural}, {architecture} without AVX2: recognition is several times slower"),
        )
        .with_remedy("use a processor of 2014 or later");
    }
    let vectors = if architecture == "x86_64" { " with AVX2" } else { "" };
    Finding::new(Severity::Ok, AREA, format!("{cores} {plural}, {architecture}{vectors}"))
}

pub(super) fn time(config: Option<&Config>) -> Finding {
    // A database that cannot be opened is found by its own check.
    let store = config.and_then(|config| cli::existing_store(config).ok().flatten());
    let clock = cli::trusted_clock(store.as_deref());
    let wall = clock.wall();
    if let Some(judgement) = clock.judgement().filter(|judgement| judgement.trust != Trust::Plausible) {
        return Finding::new(Severity::Error, "clock", judgement.to_string()).with_remedy(REMEDY);
    }
    if wall.synchronised {
        return Finding::new(Severity::Ok, "clock", "synchronised");
    }
    Finding::new(Severity::Warning, "clock", format!("not synchronised; visits would be recorded at {:.0}", wall.at))
        .with_remedy("let a time service run: sudo timedatectl set-ntp true")
}

pub(super) fn space(config: &Config) -> Finding {
    const AREA: &str = "disk";
    let dir = settings::store(config).dir;
    let below = nearest_existing(&dir);
    let mb = match store::free_bytes(&below) {
        Ok(bytes) => bytes / 1_000_000,
        Err(cause) => {
            return Finding::new(Severity::Warning, AREA, format!("{}: free space unknown: {cause}", below.display()))
                .with_remedy("check that the disk is mounted");
        }
    };
    let severity = match mb {
        0..NO_SPACE_MB => Severity::Error,
        NO_SPACE_MB..LITTLE_SPACE_MB => Severity::Warning,
        _ => Severity::Ok,
    };
    let finding = Finding::new(severity, AREA, format!("{mb} MB free for {}", dir.display()));
    if severity == Severity::Ok { finding } else { finding.with_remedy("free some space, or configure another disk") }
}

/// The folder itself, or the nearest one above it that is there.
pub(super) fn nearest_existing(dir: &Path) -> PathBuf {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// ffmpeg, when a camera needs it.
pub(super) fn video_decoder(config: &Config) -> Option<Finding> {
    let mut cameras = config.counters.iter().flat_map(|counter| &counter.cameras);
    cameras.find(|camera| matches!(camera.source, Source::Video(_) | Source::Rtsp(_)))?;
    Some(match Host::this().find("ffmpeg") {
        Some(path) => Finding::new(Severity::Ok, "ffmpeg", path.display().to_string()),
        None => Finding::new(Severity::Error, "ffmpeg", "not installed, and a video camera is configured")
            .with_remedy("sudo apt-get install ffmpeg"),
    })
}

pub(super) fn port(config: &Config) -> Finding {
    const AREA: &str = "web";
    let address = config.web.listen;
    let bound = cli::runtime().map(|runtime| runtime.block_on(web::bind(address)).map(drop));
    match bound {
        Ok(Ok(())) => Finding::new(Severity::Ok, AREA, format!("{address} is free")),
        Ok(Err(WebError::InUse(_))) if is_held(&settings::store(config).dir) => {
            Finding::new(Severity::Ok, AREA, format!("{address} is in use by the `snova run` of this data folder"))
        }
        Ok(Err(error)) => Finding::from_text(Severity::Error, AREA, &error.to_string()),
        Err(error) => Finding::new(Severity::Error, AREA, format!("{error:#}")),
    }
}

/// Whether a `snova run` is at work on the data folder.
pub(super) fn is_held(dir: &Path) -> bool {
    let lock = File::open(dir.join(cli::run::LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_of_a_folder_that_is_not_there_yet_is_that_of_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(nearest_existing(&dir.path().join("a/b")), dir.path());
        assert_eq!(nearest_existing(dir.path()), dir.path());
    }

    #[test]
    fn a_port_in_use_is_an_error_unless_snova_itself_uses_it() {
        let dir = tempfile::tempdir().unwrap();
        let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.web.listen = busy.local_addr().unwrap();
        config.device.data_dir = dir.path().to_owned();
        assert_eq!(port(&config).severity, Severity::Error);
        let lock = File::create(dir.path().join(cli::run::LOCK)).unwrap();
        assert_eq!(port(&config).severity, Severity::Error);
        lock.lock().unwrap();
        assert_eq!(port(&config).severity, Severity::Ok);
        drop(busy);
        assert_eq!(port(&config).severity, Severity::Ok);
    }
}
