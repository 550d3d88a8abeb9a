//! `snova run`: the service, until it is told to stop; with every reload of its configuration.
//!
//! What a service consists of is `crate::app`'s. systemd's signs are sent from here.

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::out;
use crate::app::settings::{self, Settings};
use crate::app::{self, Parts, Service, Supervision, WaitingRoom};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Document};
use crate::memory;
use crate::store::{self, Store, StoreError};
use crate::telemetry::{Logging, Metrics};
use crate::trouble::Troubles;
use crate::vault::Seal;
use crate::vision::Vision;
use crate::web;

/// Held by the one service of a data folder.
pub(super) const LOCK: &str = "snova.lock";

#[derive(Args)]
#[command(
    after_help = "SIGHUP reads the configuration anew (systemctl reload snova): it is checked as a whole before it
holds, and a file with faults changes nothing. A service that finds faults at its start runs by the last good
configuration and says so in the log and at /health. SIGTERM or Ctrl-C stops in order.

Examples:
  snova run
  snova run --config /etc/snova/snova.toml"
)]
pub struct RunArgs {}

pub fn run(_: &RunArgs, path: Option<&Path>) -> Result<()> {
    let (document, config, faults) = first_configuration(path)?;
    let logging = super::init_logging(&config)?;
    if !memory::keep_out_of_dumps() {
        tracing::warn!("the kernel does not keep this process out of core dumps");
    }
    let runtime = super::runtime()?;
    let (settings, vision) = prepare(&config)?;
    // Whatever can be refused is refused before anything is written.
    refuse_busy_port(&runtime, settings.listen)?;
    let _held = hold_data_folder(&config)?;
    let (clock, metrics, troubles) = (super::system_clock(), Arc::new(Metrics::new()), Troubles::default());
    let supervision = Supervision { alive: Some(Arc::new(|| tell(NotifyState::Watchdog))), ..Supervision::default() };
    let store = match open_whole_store(&config) {
        Ok(store) => store,
        Err(error) if app::can_wait(&error) => {
            let (clock, metrics) = (Arc::clone(&clock), Arc::clone(&metrics));
            let (settings, pack, supervision) = (&settings, config.runtime.pack.as_str(), supervision.clone());
            let room = WaitingRoom { settings, pack, clock, metrics, supervision, troubles: troubles.clone() };
            match runtime.block_on(wait_for_store(room, error, &config))? {
                Some(store) => store,
                None => return Ok(()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let clock = super::trusted_clock(Some(&store));
    let host = Host { path: path.map(Path::to_owned), store, clock, metrics, supervision, troubles, logging };
    if let Some(faults) = faults {
        host.refuse(&faults.to_string());
    }
    runtime.block_on(host.serve(document, config, settings, vision))
}

/// The configuration to begin with, and the faults of the file if it is the last good one instead.
fn first_configuration(path: Option<&Path>) -> Result<(Option<Document>, Config, Option<ConfigError>)> {
    let Some(document) = Document::find(path)? else { return Ok((None, Config::default(), None)) };
    match document.config() {
        Ok(config) => Ok((Some(document), config, None)),
        Err(faults) => {
            let Some(good) = Document::last_good(&document.data_dir()) else {
                // One that another box kept in a cloned folder has that box's cameras and CRM: it is no way out either.
                return Err(faults.into());
            };
            // A file that this version no longer understands is no way out.
            let Ok(config) = good.config() else { return Err(faults.into()) };
            Ok((Some(good), config, Some(faults)))
        }
    }
}

/// Everything of a configuration that can fail before a running service is touched.
fn prepare(config: &Config) -> Result<(Settings, Box<dyn Vision>)> {
    Ok((Settings::from_config(config)?, Box::new(super::open_calibrated_vision(config)?)))
}

/// The store, if what a start needs of it can be read.
fn open_whole_store(config: &Config) -> Result<Arc<Store>, StoreError> {
    let store = Store::open(&settings::store(config), Seal::plain())?;
    store.look()?;
    store.unreadable_rows()?;
    Ok(Arc::new(store))
}

/// Serves without a database until it is back; `None` when the stop is asked before.
async fn wait_for_store(room: WaitingRoom<'_>, why: StoreError, config: &Config) -> Result<Option<Arc<Store>>> {
    let mut signals = Signals::new()?;
    let (dir, again) = (settings::store(config).dir, config.clone());
    out::line(format_args!("Snova waits for its database at http://{}/ — stop it with Ctrl-C", room.settings.listen));
    tell(NotifyState::Ready);
    tokio::select! {
        store = room.wait(why, &dir, move || open_whole_store(&again)) => store.map(Some),
        () = signals.stop() => Ok(None),
    }
}

/// What lives as long as the process, through all reloads.
struct Host {
    path: Option<PathBuf>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    supervision: Supervision,
    troubles: Troubles,
    logging: Logging,
}

/// Why the running service was left.
enum Left {
    Stop,
    Reload,
}

impl Host {
    async fn serve(
        &self,
        document: Option<Document>,
        mut config: Config,
        settings: Settings,
        vision: Box<dyn Vision>,
    ) -> Result<()> {
        let mut signals = Signals::new()?;
        let mut service = self.start(settings, vision).await?;
        self.keep(document.as_ref(), &config);
        out::line(format_args!("Snova is at http://{}/ — stop it with Ctrl-C", service.address()));
        tell(NotifyState::Ready);
        while let Left::Reload = signals.wait(&service).await {
            tracing::info!("reading the configuration anew");
            let next = match self.next_configuration(&config).await {
                Ok(Some(next)) => next,
                Ok(None) => continue,
                Err(error) => {
                    self.refuse(&format!("{error:#}"));
                    continue;
                }
            };
            if let Err(error) = service.exchange(next.settings, next.vision).await {
                self.refuse(&format!("{error:#}"));
                continue;
            }
            self.mark_refused(false);
            if let Err(error) = self.logging.set_level(next.config.log.level.as_str()) {
                tracing::warn!(%error, "the log level stays");
            }
            self.keep(next.document.as_ref(), &next.config);
            config = next.config;
            tracing::info!(address = %service.address(), "the new configuration holds");
        }
        tell(NotifyState::Stopping);
        tracing::info!("stopping");
        tokio::select! {
            stopped = service.stop() => stopped,
            () = signals.stop() => anyhow::bail!("stopped at once by a second signal"),
        }
    }

    async fn start(&self, settings: Settings, vision: Box<dyn Vision>) -> Result<Service> {
        let parts = Parts {
            store: Arc::clone(&self.store),
            vision,
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            supervision: self.supervision.clone(),
            troubles: self.troubles.clone(),
        };
        app::start(settings, parts).await
    }

    /// What the file says now, checked as far as it can be beside a running service; `None` when it says what
    /// holds already.
    async fn next_configuration(&self, running: &Config) -> Result<Option<Next>> {
        let document = Document::find(self.path.as_deref())?;
        let config = document.as_ref().map_or_else(|| Ok(Config::default()), Document::config)?;
        if config == *running {
            self.mark_refused(false);
            tracing::info!("the configuration has not changed");
            return Ok(None);
        }
        if config.device.data_dir != running.device.data_dir || config.log.file != running.log.file {
            anyhow::bail!("another data_dir or log file holds after a restart only; restart the service");
        }
        let settings = Settings::from_config(&config)?;
        // Models that are the same are not opened anew: that takes seconds, and memory that does not all come back.
        let same = config.runtime == running.runtime && config.recognition == running.recognition;
        let vision: Option<Box<dyn Vision>> =
            if same { None } else { Some(Box::new(super::open_calibrated_vision(&config)?)) };
        Ok(Some(Next { document, config, settings, vision }))
    }

    /// Says of the file what is wrong with it, and that the last good configuration holds.
    fn refuse(&self, faults: &str) {
        for line in faults.lines() {
            tracing::error!("configuration refused, the last good one holds: {line}");
        }
        self.mark_refused(true);
    }

    fn mark_refused(&self, refused: bool) {
        self.supervision.config_refused.store(refused, Ordering::Relaxed);
        self.metrics.config_refused.set(i64::from(refused));
    }

    /// The service runs by this text: from now on it is the last good one.
    fn keep(&self, document: Option<&Document>, config: &Config) {
        let Some(document) = document else { return };
        if let Err(error) = document.keep_as_last_good(&config.device.data_dir) {
            tracing::warn!(%error, "the last good configuration cannot be kept");
        }
    }
}

/// A configuration that may hold next, with what was prepared of it.
struct Next {
    document: Option<Document>,
    config: Config,
    settings: Settings,
    vision: Option<Box<dyn Vision>>,
}

/// The signals that a service listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self> {
        let watch = |kind| signal(kind).context("the stop signal cannot be watched");
        Ok(Self {
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
            hang_up: watch(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self, service: &Service) -> Left {
        tokio::select! {
            _ = self.hang_up.recv() => Left::Reload,
            _ = self.terminate.recv() => Left::Stop,
            _ = self.interrupt.recv() => Left::Stop,
            () = service.failed() => Left::Stop,
        }
    }

    /// Waits for a signal to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for the stop signal or a failed part, then stops in order. A second signal ends the process at once.
pub(super) async fn until_stopped(service: Service) -> Result<()> {
    let mut signals = Signals::new()?;
    // Nothing can be reloaded here: a hang-up is a stop.
    signals.wait(&service).await;
    tracing::info!("stopping");
    tokio::select! {
        stopped = service.stop() => stopped,
        () = signals.stop() => anyhow::bail!("stopped at once by a second signal"),
    }
}

/// A sign to systemd; without one nobody listens.
fn tell(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

/// Says early what binding the port would say later.
pub(super) fn refuse_busy_port(runtime: &tokio::runtime::Runtime, address: SocketAddr) -> Result<(), web::WebError> {
    runtime.block_on(web::bind(address)).map(drop)
}

/// One service a data folder: a second one would greet and record everybody twice. The lock goes with the
/// process, however it ends.
fn hold_data_folder(config: &Config) -> Result<std::fs::File> {
    let dir = settings::store(config).dir;
    if let Some(owner) = store::other_owner(&dir) {
        anyhow::bail!(
            "the data folder {} belongs to user {owner}, and the service would run as another; start it as its owner, as the unit file does",
            dir.display()
        );
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).with_context(|| {
        format!("cannot use the data folder {}; let Snova's user write there or configure another one", dir.display())
    })?;
    let path = dir.join(LOCK);
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| {
            format!("cannot write {}; let Snova's user write there or configure another data folder", path.display())
        })?;
    if dir.metadata().is_ok_and(|facts| facts.permissions().mode() & 0o022 != 0) {
        tracing::warn!(
            "others on this machine may write into the data folder {}; run `chmod 700` on it",
            dir.display()
        );
    }
    file.try_lock().ok().with_context(|| {
        format!("another `snova run` uses the data folder {}; stop it, or configure another folder", dir.display())
    })?;
    Ok(file)
}
