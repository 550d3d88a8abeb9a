//! The keys of `[[counter.camera]]` that say where the pictures come from: each kind of source has its own.
//!
//! What is done with them is `crate::camera`'s; their meaning to the owner is in `firmware-config/snova.toml`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::reader::{Faults, Section};
use super::sections::path;
use super::{Network, Recording, Source};
use crate::camera::UsbConfig;

/// Reads the source; `None` where it cannot be told, which is then noted.
pub(super) fn source(faults: &mut Faults, section: &mut Section) -> Option<Source> {
    let kind = section.parsed(faults, "source", kind);
    if !section.has("source") {
        section.missing(faults, "source", Source::KINDS[0]);
    }
    // Without a kind no other key can be held against it.
    let Some(kind) = kind else {
        section.accept_all();
        return None;
    };
    match kind {
        "usb" => Some(Source::Usb(usb(faults, section))),
        "mjpeg" => network(faults, section, "http://", "http://192.168.1.20/video").map(Source::Mjpeg),
        "rtsp" => network(faults, section, "rtsp://", "rtsp://192.168.1.20/stream2").map(Source::Rtsp),
        "video" => recording(faults, section, "/var/lib/snova/till-1.mp4").map(Source::Video),
        "images" => recording(faults, section, "/var/lib/snova/pictures").map(Source::Images),
        _ => recording(faults, section, "/var/lib/snova/scene.toml").map(Source::Scene),
    }
}

fn kind(text: &str) -> Result<&'static str, String> {
    let found = Source::KINDS.into_iter().find(|kind| *kind == text);
    found.ok_or_else(|| format!("{text:?} is not a source; give one of {}", Source::KINDS.join(", ")))
}

fn usb(faults: &mut Faults, section: &mut Section) -> UsbConfig {
    let device = section.parsed(faults, "device", |text| match text {
        "auto" => Ok(None),
        path if path.starts_with("/dev/") => Ok(Some(PathBuf::from(path))),
        _ => Err(format!("{text:?} is not a device; give \"auto\" or a path such as \"/dev/video0\"")),
    });
    let format = section.parsed(faults, "format", |text| match text {
        "auto" => Ok(None),
        _ => text.parse().map(Some),
    });
    let size = section.parsed(faults, "size", picture_size);
    let fps = section.whole(faults, "fps", 0, 0..=120);
    UsbConfig {
        device: device.flatten(),
        format: format.flatten(),
        size: size.flatten(),
        fps: (fps > 0).then_some(fps),
    }
}

/// "640x480", or `None` for "auto".
fn picture_size(text: &str) -> Result<Option<(u32, u32)>, String> {
    const SIDES: RangeInclusive<u32> = 160..=4_096;
    if text == "auto" {
        return Ok(None);
    }
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides
        .filter(|(width, height)| SIDES.contains(width) && SIDES.contains(height))
        .map(Some)
        .ok_or_else(|| format!("{text:?} is not a picture size; give \"auto\" or one such as \"640x480\""))
}

fn network(faults: &mut Faults, section: &mut Section, scheme: &str, example: &str) -> Option<Network> {
    let url = section.parsed(faults, "url", |text| address(text, scheme, example));
    if !section.has("url") {
        section.missing(faults, "url", example);
    }
    let user = section.parsed(faults, "user", |text| match text {
        "" => Err("the user is empty; give one or leave the key out".to_owned()),
        _ if text.chars().any(|c| c.is_control() || c == ':') => {
            Err("a user holds no colon and no control character; give another".to_owned())
        }
        _ => Ok(text.to_owned()),
    });
    Some(Network { url: url?, user })
}

/// An address of this scheme with a host. One that carries a password is refused without quoting it.
fn address(text: &str, scheme: &str, example: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix(scheme) else {
        return Err(format!("the address does not begin with {scheme}; give one such as {example:?}"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(
            "user and password do not belong into the address; give the user as user = \"…\" and the password \
                    by `snova cameras password NAME`"
                .to_owned(),
        );
    }
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '<' | '>' | '`');
    if authority.is_empty() || text.len() > 500 || !text.chars().all(plain) {
        return Err(format!("the address cannot be used; give one such as {example:?}"));
    }
    Ok(text.to_owned())
}

fn recording(faults: &mut Faults, section: &mut Section, example: &str) -> Option<Recording> {
    let path = section.parsed(faults, "path", path);
    if !section.has("path") {
        section.missing(faults, "path", example);
    }
    let repeat = section.flag(faults, "repeat", false);
    Some(Recording { path: path?, repeat })
}
