//! `snova camera-child`: what Snova starts as a child process to read a camera whose driver may block for ever.
//!
//! Not for people, so it is hidden in the help. The work is `crate::camera`'s, and so is starting the child.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::camera::{self, UsbConfig, UsbFormat};

#[derive(Args)]
pub struct CameraChildArgs {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Send a USB camera's pictures to standard output, which must be a pipe
    Usb(UsbArgs),
}

#[derive(Args)]
struct UsbArgs {
    #[arg(long)]
    device: Option<PathBuf>,
    #[arg(long)]
    format: Option<UsbFormat>,
    #[arg(long, value_parser = size)]
    size: Option<(u32, u32)>,
    #[arg(long)]
    fps: Option<u32>,
}

pub fn run(args: CameraChildArgs) -> Result<()> {
    let Kind::Usb(UsbArgs { device, format, size, fps }) = args.kind;
    let mut pictures = File::from(std::io::stdout().as_fd().try_clone_to_owned().context("no standard output")?);
    if !pictures.metadata().context("no standard output")?.file_type().is_fifo() {
        bail!("pictures of people go to Snova through a pipe and nowhere else; `snova cameras show` shows one");
    }
    // The parent keeps the last line; the crates below us panic on drivers they do not expect.
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.to_string().replace('\n', " ");
        let _ = writeln!(std::io::stderr(), "snova: the camera's driver is not understood: {what}");
    }));
    Ok(camera::send_usb_pictures(&UsbConfig { device, format, size, fps }, &mut pictures)?)
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.ok_or_else(|| format!("{text:?} is not a picture size such as 640x480"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: CameraChildArgs,
    }

    #[test]
    fn what_the_source_asks_for_is_what_the_child_understands() {
        let all = UsbConfig {
            device: Some("/dev/v4l/by-id/usb-A_Camera-video-index0".into()),
            format: Some(UsbFormat::Yuyv),
            size: Some((1280, 720)),
            fps: Some(10),
        };
        for asked in [UsbConfig::default(), all] {
            // The first argument names this command itself.
            let Kind::Usb(read) = Line::parse_from(camera::usb_arguments(&asked)).args.kind;
            let UsbArgs { device, format, size, fps } = read;
            assert_eq!(UsbConfig { device, format, size, fps }, asked);
        }
    }
}
