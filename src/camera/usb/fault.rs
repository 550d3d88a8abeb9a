//! What the kernel's error numbers mean for a USB camera, in words for whoever stands before it.
//!
//! When they arise is not here: see `devices.rs` and `capture.rs`.

use std::io;
use std::path::Path;

use super::super::SourceError;

/// An error of the system on the camera at `path`; `what` says what failed, for errors that do not say it themselves.
pub(super) fn text(path: &Path, what: &str, error: &io::Error) -> SourceError {
    let camera = path.display();
    SourceError::new(match error.raw_os_error() {
        Some(libc::EBUSY) => {
            format!("the camera {camera} is used by another program; close that (`fuser {camera}` finds it)")
        }
        Some(libc::ENOENT | libc::ENXIO) => {
            format!("the camera {camera} is not there; plug it in, or choose one that `snova cameras` lists")
        }
        Some(libc::EACCES | libc::EPERM) => format!(
            "the camera {camera} may not be opened by this account; let it into the group video (sudo usermod -aG video NAME)"
        ),
        Some(libc::ENODEV) => format!("the camera {camera} was unplugged; plug it in again"),
        Some(libc::ENOSPC) => format!(
            "the USB bus has no room for the pictures of {camera}; choose mjpeg or a smaller size, or plug it in elsewhere"
        ),
        _ => format!("the camera {camera} {what}: {error}; plug it out and in again"),
    })
}

/// The system's error in a text that ends as the standard library writes it, "… (os error 16)": nokhwa gives no other.
pub(super) fn from_text(text: &str) -> io::Error {
    let number = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.split(')').next()?.parse().ok());
    number.map_or_else(|| io::Error::other(text.replace('\n', " ")), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_says_what_to_do() {
        let of = |number| text(Path::new("/dev/video3"), "fails", &io::Error::from_raw_os_error(number)).to_string();
        for (number, part) in [
            (libc::EBUSY, "used by another program; close"),
            (libc::ENOENT, "is not there; plug it in"),
            (libc::EACCES, "group video"),
            (libc::ENODEV, "was unplugged; plug it in again"),
            (libc::ENOSPC, "choose mjpeg or a smaller size"),
            (libc::EIO, "fails: Input/output error"),
        ] {
            assert!(of(number).contains(part) && of(number).contains("/dev/video3"), "{}", of(number));
        }
    }

    #[test]
    fn the_number_is_found_in_a_text() {
        let busy = from_text("Could not set device property X with value Y: Device or resource busy (os error 16)");
        assert_eq!(busy.raw_os_error(), Some(libc::EBUSY));
        assert_eq!(from_text("Not same/Rejected").raw_os_error(), None);
        assert_eq!(from_text("(os error sixteen)").to_string(), "(os error sixteen)");
    }
}
