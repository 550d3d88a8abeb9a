//! The command line: arguments, one file a command, and what they share.
//!
//! The commands are thin; what they do is in the rooms. Errors become exit codes in `main`.

mod camera_child;
mod cameras;
mod check;
mod clock;
mod completions;
mod contacts;
mod crm;
mod customers;
mod demo;
mod enrol;
mod eval;
mod identify;
mod known;
mod look;
mod models;
mod out;
mod replay;
mod run;
pub mod settle;
pub mod setup;
mod store;
mod sync;
mod truth;
mod visits;
mod who;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::app::{Places, passwords, settings};
use crate::camera;
use crate::clock::{Clock, Days, SystemClock, TrustedClock};
use crate::config::{self, Config};
use crate::customer::Identifier;
use crate::store::{FILE_NAME, Store, StoreError};
use crate::telemetry;
use crate::vault::{KEY_FILE, Seal};
use crate::vision::{self, OnnxVision};

/// Greets a consenting regular by name at the store counter
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Arguments {
    /// Configuration file [default: ./snova.toml, then /etc/snova/snova.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the counters of this box until stopped
    Run(run::RunArgs),
    /// Play the built-in scene with sample customers; needs no camera and keeps nothing
    Demo(demo::DemoArgs),
    /// Enrol a customer who has consented, from photographs or with a card or phone
    Enrol(enrol::EnrolArgs),
    /// List, show or erase customers, and give them cards and phones
    Customers(customers::CustomersArgs),
    /// Say whom a photograph shows, as the counter would
    Identify(identify::IdentifyArgs),
    /// Run a scene or video through the whole recognition, faster than life, recording nothing
    Replay(replay::ReplayArgs),
    /// Measure recognition on folders of labelled photographs
    Eval(eval::EvalArgs),
    /// List or verify the model packs
    Models(models::ModelsArgs),
    /// List the cameras of this box, plugged in and configured, or look through one
    Cameras(cameras::CamerasArgs),
    /// Look at the configured CRM, give it its secrets, and say whose contact a customer is
    Crm(crm::CrmArgs),
    /// Look at the visits on their way to the CRM, and take given-up ones up again
    Sync(sync::SyncArgs),
    /// List the visits of a day, and void one that was somebody else's
    Visits(visits::VisitsArgs),
    /// Say whether the clock can be right, or say that it is
    Clock(clock::ClockArgs),
    /// Decide about a database or device key that is gone for good
    Store(store::StoreArgs),
    /// Say what is wrong with this box and what to do
    Check(check::CheckArgs),
    /// Fetch, verify and convert the models, the runtime and the sample pictures
    Setup(setup::SetupArgs),
    /// Print what a shell needs to complete the commands
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(completions::ManArgs),
    /// Read a camera for Snova itself
    #[command(hide = true)]
    CameraChild(camera_child::CameraChildArgs),
}

/// How a command ended that could do its work; `main` makes an exit code of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Done,
    /// `snova check` or `snova crm probe` found something that should be looked at; `snova sync status` and
    /// `snova clock` too. An erasure left traces, to be taken away later.
    Warnings,
    /// They found something that keeps Snova, or the delivery, from working.
    Errors,
}

/// Runs the command that the arguments name.
pub fn run(arguments: Arguments) -> Result<Outcome> {
    let config = arguments.config.as_deref();
    match arguments.command {
        Command::Check(args) => return Ok(check::run(&args, config)),
        Command::Setup(args) => setup::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(&args, config),
        Command::Completions(args) => return completions::completions(&args),
        Command::Man(args) => return completions::man(&args),
        Command::CameraChild(args) => camera_child::run(args),
        command => {
            let config = Config::load(config)?;
            // What a command has to say belongs to whoever called it, not into the service's log file.
            telemetry::init_logging(config.log.level.as_str(), std::io::stderr)?;
            match command {
                Command::Enrol(args) => enrol::run(args, &config),
                Command::Customers(args) => return customers::run(args, &config),
                Command::Identify(args) => identify::run(&args, &config),
                Command::Replay(args) => replay::run(&args, &config),
                Command::Eval(args) => eval::run(&args, &config),
                Command::Models(args) => models::run(&args, &config),
                Command::Cameras(args) => cameras::run(args, &config),
                Command::Crm(args) => return crm::run(args, &config),
                Command::Sync(args) => return sync::run(args, &config),
                Command::Visits(args) => visits::run(args, &config),
                Command::Clock(args) => return clock::run(&args, &config),
                Command::Store(args) => store::run(&args, &config),
                Command::Setup(_)
                | Command::Demo(_)
                | Command::Check(_)
                | Command::Run(_)
                | Command::Completions(_)
                | Command::Man(_)
                | Command::CameraChild(_) => Ok(()),
            }
        }
    }?;
    Ok(Outcome::Done)
}

/// The service's log: standard error, or the configured file.
fn init_logging(config: &Config) -> Result<telemetry::Logging> {
    let level = config.log.level.as_str();
    match &config.log.file {
        None => Ok(telemetry::init_logging(level, std::io::stderr)?),
        Some(path) => {
            let file = telemetry::LogFile::open(path, config.log.max_mb.saturating_mul(1_000_000))?;
            Ok(telemetry::init_logging_to_file(level, file)?)
        }
    }
}

/// The configured pack, opened on the configured runtime.
fn open_vision(config: &Config) -> Result<OnnxVision> {
    let runtime = &config.runtime;
    let places = Places::find(runtime.library.as_deref(), runtime.packs_dir.as_deref(), &runtime.pack)?;
    Ok(vision::open(&places.pack, &places.library, &settings::vision(config))?)
}

/// A pack that may recognise people: one whose thresholds were measured.
fn open_calibrated_vision(config: &Config) -> Result<OnnxVision> {
    let vision = open_vision(config)?;
    if !vision::Vision::pack(&vision).thresholds.is_calibrated() {
        anyhow::bail!(
            "the pack \"{}\" has no threshold table, so it would name nobody; run `snova eval --calibrate FOLDER` and put the rows into its pack.toml",
            config.runtime.pack
        );
    }
    Ok(vision)
}

/// ONNX Runtime's library as it is configured or found.
fn runtime_library(config: &Config) -> Result<PathBuf> {
    Ok(Places::library(config.runtime.library.as_deref())?)
}

/// The bytes of a photo file; why not, in one line.
fn read_photo(path: &Path) -> Result<Vec<u8>, String> {
    camera::read_picture_file(path).map_err(|why| format!("cannot be read ({why}); check the path and the file"))
}

/// The store, but only if there is one: commands that look do not make it.
fn existing_store(config: &Config) -> Result<Option<Arc<Store>>> {
    let path = settings::store(config).dir.join(FILE_NAME);
    let length = match path.metadata() {
        Ok(facts) => facts.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => {
            return Err(error).with_context(|| {
                format!("cannot look at the database {}; let Snova's user read the data folder", path.display())
            });
        }
    };
    match length {
        0 if path.with_file_name(KEY_FILE).exists() => Err(StoreError::Lost { path }.into()),
        0 => Ok(None),
        _ => open_store(config).map(Some),
    }
}

/// Where a configured camera's pictures come from; with its password, where it has a user.
fn camera_spec(camera: &config::Camera, config: &Config) -> Result<camera::SourceSpec> {
    let store = existing_store(config)?;
    Ok(passwords::with_password(&settings::source(camera)?, &camera.name, store.as_deref())?)
}

fn open_store(config: &Config) -> Result<Arc<Store>> {
    Ok(Arc::new(Store::open(&settings::store(config), Seal::plain())?))
}

/// Cards, phones and e-mail addresses as they were given.
#[derive(clap::Args)]
struct Given {
    /// A card's code as the scanner reads it; may be repeated
    #[arg(long, value_name = "CODE")]
    card: Vec<String>,
    /// A phone number; may be repeated
    #[arg(long, value_name = "NUMBER")]
    phone: Vec<String>,
    /// An e-mail address, by which the CRM may know them; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
}

impl Given {
    /// Each once.
    fn identifiers(&self, config: &Config) -> Result<Vec<Identifier>> {
        let cards = self.card.iter().map(|code| Identifier::card(code));
        let phones = self.phone.iter().map(|number| Identifier::phone(number, config.device.country));
        let emails = self.email.iter().map(|address| Identifier::email(address));
        let all: BTreeSet<Identifier> = cards.chain(phones).chain(emails).collect::<Result<_, _>>()?;
        Ok(all.into_iter().collect())
    }
}

/// A secret of one line: asked for on a terminal, else read from standard input. It never stands on a command line,
/// where every program of the machine could read it.
fn read_secret(what: &str, most_bytes: usize) -> Result<String> {
    let secret = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{what}: ")).with_context(|| format!("the {what} cannot be asked for"))?
    } else {
        let mut piped = String::new();
        let read = std::io::stdin().take(most_bytes as u64 + 3).read_to_string(&mut piped);
        read.with_context(|| format!("the {what} cannot be read from standard input; send it as UTF-8 text"))?;
        piped.trim_end_matches(['\n', '\r']).to_owned()
    };
    if secret.is_empty() || secret.len() > most_bytes || secret.chars().any(char::is_control) {
        anyhow::bail!("this cannot be a {what}; give one line of at most {most_bytes} bytes");
    }
    Ok(secret)
}

/// The clock by which everything that hangs on a date is decided, with what the box kept of the time. A store that cannot
/// tell gives none: the release's date holds then.
fn trusted_clock(store: Option<&Store>) -> Arc<dyn Clock> {
    let kept = store.map(Store::floor).transpose().unwrap_or_else(|error| {
        tracing::warn!(%error, "the time that has passed cannot be read");
        None
    });
    Arc::new(TrustedClock::new(Arc::new(SystemClock::new()), kept.unwrap_or_default()))
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// The shop's date, by every clock that may be right.
fn today(config: &Config, clock: &dyn Clock) -> Days {
    clock.days(&config.device.time_zone)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("web").enable_all();
    builder.build().context("the web threads cannot be started")
}
