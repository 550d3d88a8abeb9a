//! The cameras of the USB ports, with what each can do. Only looks: a camera at work is not disturbed.
//!
//! Taking pictures is not here: see `capture.rs`.
//!
//! Not by `nokhwa`: its list panics at any name such as `/dev/video-till` (a udev link), and it tells a camera's
//! formats only after it has set one, which a camera in use refuses.

use std::io;
use std::path::{Path, PathBuf};

use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;
use v4l::{Device, FourCC};

use super::super::{SourceError, UsbConfig, UsbFormat};
use super::choice::{PictureRate, UsbOffer, choose};
use super::fault;

/// Where the kernel lists video devices, and where udev gives them names that stay.
const LISTED: &str = "/sys/class/video4linux";
const STABLE: &str = "/dev/v4l/by-id";

/// A camera that is plugged in.
#[derive(Clone, Debug)]
pub struct UsbDevice {
    /// What it calls itself.
    pub name: String,
    /// `/dev/video0`: the number may be another one after the next plugging in.
    pub path: PathBuf,
    /// The name below `/dev/v4l/by-id`, which stays the same, if it has one.
    pub stable_path: Option<PathBuf>,
    /// What it can do, or why that cannot be told.
    pub offers: Result<Offers, SourceError>,
}

/// What a camera can do.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// What Snova can use.
    pub usable: Vec<UsbOffer>,
    /// The names of formats that Snova cannot use, such as H264.
    pub others: Vec<String>,
}

/// All cameras on USB ports, by number. The nodes of a camera that give no pictures are left out.
pub fn usb_devices() -> Vec<UsbDevice> {
    let nodes = nodes().into_iter().filter(|node| node.on_usb);
    let with_offers = nodes.map(|node| (node.offers(), node));
    with_offers
        .filter(|(offers, _)| !offers.as_ref().is_ok_and(Offers::is_empty))
        .map(|(offers, node)| UsbDevice {
            stable_path: stable_path(&node.path),
            offers: offers.map_err(|e| fault::text(&node.path, "cannot be opened", &e)),
            name: node.name.unwrap_or_else(|| "a camera with an unreadable name".to_owned()),
            path: node.path,
        })
        .collect()
}

/// One video device of the kernel; a camera has several, of which most give no pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub index: u32,
    pub path: PathBuf,
    /// `None` if it is no text.
    pub name: Option<String>,
    pub on_usb: bool,
}

/// All of the machine's, by number.
pub(super) fn nodes() -> Vec<Node> {
    let entries = std::fs::read_dir(LISTED).into_iter().flatten().flatten();
    let indices = entries.filter_map(|entry| index_of(Path::new(&entry.file_name())));
    let mut nodes: Vec<Node> = indices.map(Node::at).collect();
    nodes.sort_by_key(|node| node.index);
    nodes
}

/// The node that a configured path leads to.
pub(super) fn node_at(path: &Path) -> Result<Node, SourceError> {
    let real = path.canonicalize().map_err(|e| fault::text(path, "cannot be found", &e))?;
    let index = if real.parent() == Some(Path::new("/dev")) { index_of(&real) } else { None };
    index.map(Node::at).ok_or_else(|| {
        SourceError::new(format!("{} is no camera; choose one that `snova cameras` lists", path.display()))
    })
}

/// A camera's name as people say it. Drivers write "HD Camera: HD Cam", the second half cut off.
fn plain(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let name = name.trim();
    let once = name.split_once(": ").filter(|(first, again)| first.starts_with(again));
    once.map_or(name, |(first, _)| first).to_owned()
}

/// The number in `video7`.
fn index_of(path: &Path) -> Option<u32> {
    let digits = path.file_name()?.to_str()?.strip_prefix("video")?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn stable_path(path: &Path) -> Option<PathBuf> {
    let links = std::fs::read_dir(STABLE).ok()?.flatten().map(|entry| entry.path());
    links.filter(|link| link.canonicalize().is_ok_and(|real| real == path)).min()
}

impl Node {
    fn at(index: u32) -> Self {
        let about = Path::new(LISTED).join(format!("video{index}"));
        let name = std::fs::read(about.join("name")).ok().and_then(|name| String::from_utf8(name).ok());
        let device = about.join("device").canonicalize().unwrap_or_default();
        Self {
            index,
            path: PathBuf::from(format!("/dev/video{index}")),
            name: name.as_deref().map(plain),
            on_usb: device.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb")),
        }
    }

    /// What it offers; nothing if it gives no pictures at all.
    pub fn offers(&self) -> io::Result<Offers> {
        let device = Device::with_path(&self.path)?;
        let mut offers = Offers::default();
        for described in device.enum_formats()? {
            match usb_format(described.fourcc) {
                Some(format) => offers.usable.extend(of_format(&device, format)?),
                None => offers.others.push(String::from_utf8_lossy(&described.fourcc.repr).trim().to_owned()),
            }
        }
        Ok(offers)
    }
}

impl Offers {
    pub fn is_empty(&self) -> bool {
        self.usable.is_empty() && self.others.is_empty()
    }

    /// What is taken where nothing is configured.
    pub fn automatic(&self) -> Option<UsbOffer> {
        choose(&self.usable, &UsbConfig::default())
    }
}

pub(super) fn fourcc(format: UsbFormat) -> FourCC {
    FourCC::new(match format {
        UsbFormat::Mjpeg => b"MJPG",
        UsbFormat::Yuyv => b"YUYV",
    })
}

pub(super) fn usb_format(code: FourCC) -> Option<UsbFormat> {
    [UsbFormat::Mjpeg, UsbFormat::Yuyv].into_iter().find(|format| fourcc(*format) == code)
}

fn of_format(device: &Device, format: UsbFormat) -> io::Result<Vec<UsbOffer>> {
    let mut offers = Vec::new();
    for described in device.enum_framesizes(fourcc(format))? {
        let sizes = match described.size {
            FrameSizeEnum::Discrete(size) => vec![(size.width, size.height)],
            // Not a webcam; whatever it is scales, and the usual sizes are enough.
            FrameSizeEnum::Stepwise(range) => USUAL_SIZES
                .into_iter()
                .filter(|(width, height)| {
                    is_step(*width, (range.min_width, range.max_width, range.step_width))
                        && is_step(*height, (range.min_height, range.max_height, range.step_height))
                })
                .collect(),
        };
        for size in sizes {
            // A size without rates could not be asked for: it is passed over.
            let intervals = device.enum_frameintervals(fourcc(format), size.0, size.1).unwrap_or_default();
            let rates = intervals.into_iter().flat_map(|described| rates(described.interval));
            offers.extend(rates.map(|rate| UsbOffer { format, size, rate }));
        }
    }
    Ok(offers)
}

const USUAL_SIZES: [(u32, u32); 6] = [(320, 240), (640, 360), (640, 480), (800, 600), (1280, 720), (1920, 1080)];
const USUAL_RATES: [u32; 6] = [5, 10, 15, 20, 25, 30];

fn is_step(value: u32, (least, most, step): (u32, u32, u32)) -> bool {
    (least..=most).contains(&value) && (value - least).is_multiple_of(step.max(1))
}

fn rates(interval: FrameIntervalEnum) -> Vec<PictureRate> {
    match interval {
        FrameIntervalEnum::Discrete(each) => PictureRate::new(each.denominator, each.numerator).into_iter().collect(),
        FrameIntervalEnum::Stepwise(range) => {
            let rate = |f: v4l::Fraction| PictureRate::new(f.denominator, f.numerator).map(PictureRate::per_second);
            // The longest interval is the lowest rate.
            let (Some(most), Some(least)) = (rate(range.min), rate(range.max)) else { return Vec::new() };
            let usual = USUAL_RATES.into_iter().filter(|fps| (least..=most).contains(&f64::from(*fps)));
            usual.filter_map(|fps| PictureRate::new(fps, 1)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbered_video_nodes_are_cameras() {
        assert_eq!(index_of(Path::new("/dev/video12")), Some(12));
        for other in ["/dev/video", "/dev/video-till", "/dev/video1a", "/dev/vide1", "/dev/video99999999999", "/"] {
            assert_eq!(index_of(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_name_is_told_once() {
        assert_eq!(plain("Integrated Camera: Integrated C\n"), "Integrated Camera");
        assert_eq!(plain("USB Camera: Front"), "USB Camera: Front");
        assert_eq!(plain("HD\u{7} Webcam"), "HD Webcam");
    }

    #[test]
    fn a_path_that_leads_to_no_camera_is_refused_in_words() {
        let missing = node_at(Path::new("/dev/video-of-nowhere")).unwrap_err().to_string();
        assert!(missing.contains("/dev/video-of-nowhere is not there; "), "{missing}");
        let other = node_at(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(other.contains("/dev/null is no camera; "), "{other}");
        let file = tempfile::Builder::new().prefix("video").rand_bytes(0).suffix("0").tempfile().unwrap();
        assert!(node_at(file.path()).is_err(), "a file that only bears such a name");
    }

    #[test]
    fn ranges_of_sizes_and_rates_become_the_usual_ones() {
        assert!(is_step(640, (160, 1280, 16)) && is_step(640, (2, 8192, 0)));
        assert!(!is_step(648, (160, 1280, 16)) && !is_step(1920, (160, 1280, 1)));
        let range = v4l::frameinterval::Stepwise {
            min: v4l::Fraction::new(1, 25),
            max: v4l::Fraction::new(1, 10),
            step: v4l::Fraction::new(1, 1),
        };
        let wanted: Vec<_> = [10, 15, 20, 25].into_iter().filter_map(|fps| PictureRate::new(fps, 1)).collect();
        assert_eq!(rates(FrameIntervalEnum::Stepwise(range)), wanted);
        assert_eq!(rates(FrameIntervalEnum::Discrete(v4l::Fraction::new(0, 30))), []);
    }
}
