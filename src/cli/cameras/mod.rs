//! `snova cameras`: what is plugged in, what is configured, and a look through one of them.
//!
//! The list is here; the look is `show.rs`'. Reading cameras is `crate::camera`'s.

mod password;
mod show;

use std::fmt::Write as _;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::out;
use crate::camera::{self, Offers, UsbDevice, UsbFormat, UsbOffer};
use crate::config::{self, Config, Source};

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Without a command it lists. No picture is ever written to a file.

Examples:
  snova cameras
  snova cameras list --json
  snova cameras show till-1-front
  snova cameras show /dev/video0
  snova cameras password till-1-left"
)]
pub struct CamerasArgs {
    #[command(subcommand)]
    command: Option<CamerasCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Subcommand)]
enum CamerasCommand {
    /// The cameras that are plugged in, with what they offer, and the configured ones
    List(ListArgs),
    /// Draw what a camera sees, on this terminal only, and say how fast its pictures come
    Show(show::ShowArgs),
    /// Keep the password of a network camera, sealed
    Password(password::PasswordArgs),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  snova cameras list\n  snova cameras list --json")]
struct ListArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(args: CamerasArgs, config: &Config) -> Result<()> {
    match args.command.unwrap_or(CamerasCommand::List(args.list)) {
        CamerasCommand::List(args) => list(args.json, config),
        CamerasCommand::Show(args) => show::run(&args, config)?,
        CamerasCommand::Password(args) => password::run(&args, config)?,
    }
    Ok(())
}

fn list(json: bool, config: &Config) {
    let devices = camera::usb_devices();
    if json {
        return out::line(json!({
            "devices": devices.iter().map(view).collect::<Vec<_>>(),
            "configured": configured(config).map(|(counter, camera)| json!({
                "counter": counter,
                "name": camera.name.as_str(),
                "source": camera.source.as_str(),
                "from": from(&camera.source),
            })).collect::<Vec<_>>(),
        }));
    }
    out::line(if devices.is_empty() { "No camera is plugged in on USB." } else { "Plugged in on USB" });
    devices.iter().for_each(|device| out::line(describe(device).trim_end()));
    let mut cameras = configured(config).peekable();
    out::line(if cameras.peek().is_none() {
        "No camera is configured; add a [[counter.camera]] to the configuration."
    } else {
        "Configured"
    });
    for (counter, camera) in cameras {
        let kind = camera.source.as_str();
        out::line(format_args!("  {}  ({counter})  {kind}  {}", camera.name, from(&camera.source)));
    }
}

/// Every configured camera with its counter's name.
fn configured(config: &Config) -> impl Iterator<Item = (&str, &config::Camera)> {
    config.counters.iter().flat_map(|counter| counter.cameras.iter().map(|camera| (counter.name.as_str(), camera)))
}

/// Where a configured camera's pictures come from. What follows the `?` of an address may be a password, and so
/// may what stands before an `@`.
fn from(source: &Source) -> String {
    match source {
        Source::Usb(usb) => {
            let device = usb.device.as_ref().map(|path| path.display().to_string());
            device.unwrap_or_else(|| "the first one".to_owned())
        }
        Source::Mjpeg(network) | Source::Rtsp(network) => {
            let plain = network.url.split('?').next().unwrap_or_default();
            let (scheme, rest) = plain.split_once("://").unwrap_or(("", plain));
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{host}")
        }
        Source::Video(recording) | Source::Images(recording) | Source::Scene(recording) => {
            recording.path.display().to_string()
        }
    }
}

fn describe(device: &UsbDevice) -> String {
    let mut text = format!("  {}\n    path       {}\n", device.name, device.path.display());
    // Writing to a string cannot fail.
    let mut add = |label: &str, what: &dyn std::fmt::Display| {
        let _ = writeln!(text, "    {label:<9}  {what}");
    };
    if let Some(path) = &device.stable_path {
        add("always as", &path.display());
    }
    match &device.offers {
        Ok(offers) => {
            for (format, sizes) in by_format(offers) {
                let sizes: Vec<String> = sizes
                    .iter()
                    .map(|(width, height, rates)| format!("{width}x{height} at {} a second", rates.join(", ")))
                    .collect();
                add(format.as_str(), &sizes.join("\n               "));
            }
            if !offers.others.is_empty() {
                add("unusable", &offers.others.join(", "));
            }
            match offers.automatic() {
                Some(offer) => add("auto", &offer),
                None => add("auto", &"nothing that Snova can use; take another camera"),
            }
        }
        Err(error) => add("unusable", error),
    }
    text
}

fn view(device: &UsbDevice) -> Value {
    let offers = device.offers.as_ref().ok();
    let formats = offers.map(by_format).unwrap_or_default();
    json!({
        "name": device.name,
        "path": device.path.display().to_string(),
        "stable_path": device.stable_path.as_ref().map(|path| path.display().to_string()),
        "formats": formats.iter().map(|(format, sizes)| json!({
            "format": format.as_str(),
            "sizes": sizes.iter().map(|(width, height, rates)| json!({
                "width": width,
                "height": height,
                "rates": rates.iter().filter_map(|rate| rate.parse::<f64>().ok()).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "unusable_formats": offers.map(|offers| offers.others.clone()).unwrap_or_default(),
        "auto": offers.and_then(Offers::automatic).map(|offer| offer.to_string()),
        "error": device.offers.as_ref().err().map(ToString::to_string),
    })
}

/// Width, height and the rates.
type Size = (u32, u32, Vec<String>);

/// The offers as cameras order them: formats with their sizes with their rates.
fn by_format(offers: &Offers) -> Vec<(UsbFormat, Vec<Size>)> {
    let mut formats: Vec<(UsbFormat, Vec<Size>)> = Vec::new();
    for UsbOffer { format, size: (width, height), rate } in &offers.usable {
        if !formats.iter().any(|(known, _)| known == format) {
            formats.push((*format, Vec::new()));
        }
        let Some((_, sizes)) = formats.iter_mut().find(|(known, _)| known == format) else { continue };
        match sizes.iter_mut().find(|(w, h, _)| (w, h) == (width, height)) {
            Some((_, _, rates)) => rates.push(rate.to_string()),
            None => sizes.push((*width, *height, vec![rate.to_string()])),
        }
    }
    formats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{PictureRate, UsbConfig};
    use crate::config::{Network, Recording};

    fn device() -> UsbDevice {
        let offer = |format, size, pictures, seconds| UsbOffer {
            format,
            size,
            rate: PictureRate::new(pictures, seconds).unwrap(),
        };
        let usable = vec![
            offer(UsbFormat::Yuyv, (640, 480), 15, 2),
            offer(UsbFormat::Mjpeg, (640, 480), 30, 1),
            offer(UsbFormat::Mjpeg, (640, 480), 15, 1),
            offer(UsbFormat::Mjpeg, (1280, 720), 30, 1),
        ];
        UsbDevice {
            name: "A Camera".into(),
            path: "/dev/video2".into(),
            stable_path: Some("/dev/v4l/by-id/usb-A_Camera".into()),
            offers: Ok(Offers { usable, others: vec!["H264".into()] }),
        }
    }

    #[test]
    fn a_camera_is_described_with_all_that_it_offers_and_what_would_be_taken() {
        let text = describe(&device());
        for part in [
            "A Camera\n",
            "/dev/video2\n",
            "/dev/v4l/by-id/usb-A_Camera\n",
            "mjpeg      640x480 at 30, 15 a second\n",
            "1280x720 at 30 a second\n",
            "yuyv       640x480 at 7.5 a second\n",
            "unusable   H264\n",
            "auto       mjpeg 640x480 at 30/s\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let view = view(&device());
        assert_eq!(view["formats"][1]["sizes"][0]["rates"], json!([30.0, 15.0]));
        assert_eq!(view["auto"], "mjpeg 640x480 at 30/s");
        let lost = UsbDevice { offers: Err(camera::SourceError::new("it is gone")), ..device() };
        assert!(describe(&lost).contains("unusable   it is gone"));
    }

    #[test]
    fn no_secret_of_an_address_is_told() {
        let network = |url: &str| Source::Rtsp(Network { url: url.into(), user: Some("till".into()) });
        assert_eq!(from(&network("rtsp://10.0.0.7:554/live?user=a&pwd=b")), "rtsp://10.0.0.7:554/live");
        assert_eq!(from(&network("rtsp://me:secret@10.0.0.7/live")), "rtsp://10.0.0.7/live");
        assert_eq!(from(&Source::Usb(UsbConfig::default())), "the first one");
        assert_eq!(from(&Source::Video(Recording { path: "/a.mp4".into(), repeat: false })), "/a.mp4");
    }
}
