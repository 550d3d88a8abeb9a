//! `snova run`: the service, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;

use super::out;
use crate::app::settings::{self, Settings};
use crate::app::{self, Parts, Service};
use crate::config::Config;
use crate::telemetry::Metrics;
use crate::web;

/// Held by the one service of a data folder.
pub(super) const LOCK: &str = "snova.lock";

#[derive(Args)]
#[command(after_help = "Examples:\n  snova run\n  snova run --config /etc/snova/snova.toml")]
pub struct RunArgs {}

pub fn run(_: &RunArgs, config: Config) -> Result<()> {
    let settings = Settings::from_config(&config)?;
    let vision = Box::new(super::open_calibrated_vision(&config)?);
    let runtime = super::runtime()?;
    // Whatever can be refused is refused before anything is written.
    refuse_busy_port(&runtime, settings.listen)?;
    let _held = hold_data_folder(&config)?;
    let store = super::open_store(&config)?;
    let parts = Parts { store, vision, clock: super::system_clock(), metrics: Arc::new(Metrics::new()) };
    runtime.block_on(async {
        let service = app::start(settings, parts).await?;
        out::line(format_args!("Snova is at http://{}/ — stop it with Ctrl-C", service.address()));
        until_stopped(service).await
    })
}

/// Says early what binding the port would say later.
pub(super) fn refuse_busy_port(runtime: &tokio::runtime::Runtime, address: SocketAddr) -> Result<(), web::WebError> {
    runtime.block_on(web::bind(address)).map(drop)
}

/// Waits for the stop signal or a failed part, then stops in order. A second signal ends the process at once.
pub(super) async fn until_stopped(service: Service) -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("the stop signal cannot be watched")?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = service.failed() => {}
    }
    tracing::info!("stopping");
    tokio::select! {
        stopped = service.stop() => stopped,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("stopped at once by a second signal"),
        _ = terminate.recv() => anyhow::bail!("stopped at once by a second signal"),
    }
}

/// One service a data folder: a second one would greet and record everybody twice. The lock goes with the
/// process, however it ends.
fn hold_data_folder(config: &Config) -> Result<std::fs::File> {
    let dir = settings::store(config).dir;
    std::fs::create_dir_all(&dir).with_context(|| {
        format!("cannot use the data folder {}; let Snova's user write there or configure another one", dir.display())
    })?;
    let path = dir.join(LOCK);
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).with_context(|| {
        format!("cannot write {}; let Snova's user write there or configure another data folder", path.display())
    })?;
    file.try_lock().ok().with_context(|| {
        format!("another `snova run` uses the data folder {}; stop it, or configure another folder", dir.display())
    })?;
    Ok(file)
}
