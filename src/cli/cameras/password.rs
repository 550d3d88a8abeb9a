//! `snova cameras password`: keeps the password of a network camera, sealed; it is never shown again.
//!
//! How it is kept is `crate::store`'s and `crate::vault`'s.

use anyhow::Result;
use clap::Args;

use super::configured;
use crate::app::passwords;
use crate::cli::{self, out};
use crate::config::{Config, Source};

/// Longer than any camera takes; what is longer is a file that was sent by mistake.
const MOST_BYTES: usize = 256;

#[derive(Args)]
#[command(
    after_help = "The password is asked for, or read from standard input: it never stands on a command line, where
every program of the machine could read it. It is kept sealed with the key of this box. A running
service takes it with its next try, within half a minute.

Examples:
  snova cameras password till-1-left
  pass shop/till-1-left | snova cameras password till-1-left
  snova cameras password till-1-left --remove"
)]
pub struct PasswordArgs {
    /// A configured network camera
    #[arg(value_name = "NAME")]
    name: String,
    /// Forget the password instead
    #[arg(long)]
    remove: bool,
}

pub fn run(args: &PasswordArgs, config: &Config) -> Result<()> {
    let found = configured(config).find(|(_, camera)| camera.name.as_str() == args.name);
    let Some((_, camera)) = found else {
        anyhow::bail!("no camera \"{}\" is configured; `snova cameras` lists those that are", args.name);
    };
    let (Source::Mjpeg(network) | Source::Rtsp(network)) = &camera.source else {
        anyhow::bail!("the camera \"{}\" is no network camera and asks for no password", camera.name);
    };
    if args.remove {
        let gone = match cli::existing_store(config)? {
            Some(store) => passwords::forget(&store, &camera.name)?,
            None => false,
        };
        let what = if gone { "is forgotten" } else { "was not kept" };
        out::line(format_args!("the password of {} {what}", camera.name));
        return Ok(());
    }
    if network.user.is_none() {
        anyhow::bail!("the camera \"{}\" has no user; add user = \"…\" to its [[counter.camera]]", camera.name);
    }
    let password = cli::read_secret("password", MOST_BYTES)?;
    passwords::keep(&*cli::open_store(config)?, &camera.name, &password)?;
    out::line(format_args!("the password of {} is kept", camera.name));
    Ok(())
}
