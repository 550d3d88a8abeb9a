//! `snova cameras show`: what a camera sees, drawn on the terminal with half blocks, and how its pictures come.
//!
//! A picture of people is shown to whoever stands at the box and is never kept: nothing here writes a file, and
//! output that is no terminal is refused.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use image::RgbImage;
use image::imageops::{self, FilterType};

use super::super::look::{self, Look, look};
use super::super::out;
use super::configured;
use crate::camera::{SourceSpec, UsbConfig};
use crate::config::Config;

#[derive(Args)]
#[command(
    after_help = "Needs a terminal with 24-bit colour, at least 80 columns wide. A camera that `snova run` uses is
busy: stop the service first.

Examples:
  snova cameras show till-1-front
  snova cameras show /dev/video0"
)]
pub(super) struct ShowArgs {
    /// A configured camera's name, or a device such as /dev/video0
    #[arg(value_name = "NAME|DEVICE")]
    camera: String,
}

/// Enough to find the exposure and to measure the rate.
const PICTURES: usize = 20;
/// As long as a network camera may take to its first picture, and then the pictures of a slow one.
const PATIENCE: Duration = Duration::from_secs(20);
/// What fits every terminal.
const COLUMNS: u32 = 80;
/// A portrait-format picture must not scroll off.
const MOST_LINES: u32 = 40;

pub(super) fn run(args: &ShowArgs, config: &Config) -> Result<()> {
    if !std::io::stdout().is_terminal() {
        bail!(
            "a picture of people is shown on a terminal and never written to a file or another program; run this in a terminal"
        );
    }
    let spec = source(&args.camera, config)?;
    let Some(Look { picture, first_after, rate }) = look(&spec, PICTURES, PATIENCE)? else {
        bail!("{} has no pictures; give another recording", args.camera);
    };
    let format = look::format_of(&picture);
    let picture = picture.into_rgb()?;
    out::line(drawn(&picture).trim_end());
    let (width, height) = picture.dimensions();
    let rate = rate.map_or_else(|| "one picture only".to_owned(), |rate| format!("{rate:.1} pictures a second"));
    out::line(format_args!("{format} {width}x{height}, {rate}, the first after {} ms", first_after.as_millis()));
    Ok(())
}

fn source(camera: &str, config: &Config) -> Result<SourceSpec> {
    if let Some((_, configured)) = configured(config).find(|(_, configured)| configured.name.as_str() == camera) {
        return crate::cli::camera_spec(configured, config);
    }
    if Path::new(camera).is_absolute() {
        return Ok(SourceSpec::Usb(UsbConfig { device: Some(camera.into()), ..UsbConfig::default() }));
    }
    bail!("no camera \"{camera}\" is configured; `snova cameras` lists names and devices")
}

/// The picture in lines of half blocks: the upper half in the foreground's colour, the lower in the background's.
fn drawn(picture: &RgbImage) -> String {
    let (width, height) = picture.dimensions();
    let rows = |columns: u32| (u64::from(height) * u64::from(columns) / u64::from(width.max(1))) as u32;
    let narrow = (u64::from(width) * u64::from(2 * MOST_LINES) / u64::from(height.max(1))) as u32;
    let columns = if rows(COLUMNS) > 2 * MOST_LINES { narrow.max(1) } else { COLUMNS };
    let rows = rows(columns).clamp(2, 2 * MOST_LINES).next_multiple_of(2);
    let small = imageops::resize(picture, columns, rows, FilterType::Triangle);
    let mut text = String::new();
    for line in 0..rows / 2 {
        for column in 0..columns {
            let [[r, g, b], [r2, g2, b2]] = [2 * line, 2 * line + 1].map(|row| small.get_pixel(column, row).0);
            // Writing to a string cannot fail.
            let _ = write!(text, "\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m▀");
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fills_the_width_and_never_scrolls_off() {
        for ((width, height), (columns, lines)) in [
            ((640, 480), (80, 30)),
            ((1280, 720), (80, 23)),
            ((480, 640), (60, 40)),
            ((1, 5_000), (1, 40)),
            ((5_000, 1), (80, 1)),
        ] {
            let text = drawn(&RgbImage::new(width, height));
            let drawn: Vec<usize> = text.lines().map(|line| line.matches('▀').count()).collect();
            assert_eq!((drawn[0], drawn.len()), (columns, lines), "{width}x{height}");
        }
    }

    #[test]
    fn the_upper_half_is_above_the_lower() {
        let picture = RgbImage::from_fn(80, 60, |_, y| image::Rgb(if y < 30 { [200, 0, 0] } else { [0, 0, 200] }));
        let text = drawn(&picture);
        assert!(text.lines().next().unwrap().starts_with("\x1b[38;2;200;0;0;48;2;200;0;0m"));
        assert!(text.lines().last().unwrap().starts_with("\x1b[38;2;0;0;200;48;2;0;0;200m"));
    }
}
