//! A network camera that sends video over RTSP: ffmpeg receives and decodes it in a child process.
//!
//! The child's life is not here (see `child.rs`), nor how a picture is read (see `pipe.rs`).
//!
//! ffmpeg gets the address with the password as a script on its standard input: arguments stand in the process list,
//! where every account of the box can read them. Its own words may quote the address, so they pass `Secrets::hidden`
//! before anybody sees them.

use std::ffi::OsStr;
use std::io::{self, BufReader};

use hyper::Uri;

use super::child::PictureChild;
use super::http_login::REMEDY;
use super::pipe::read_picture;
use super::{Capture, FrameSource, Login, NetworkConfig, Pace, SourceError, StopHandle};
use crate::clock::{Clock, Monotonic, SystemClock};

/// What ffmpeg is told of the connection, in its script. TCP: a lost UDP packet smears the picture until the next
/// whole one. Half a second (and 1 MB) of looking at the stream is enough, since the camera itself describes it; the
/// time-out, in µs, is for connecting and for silence, and leaves the person who checks a camera an answer within 10 s.
const CONNECTION: [(&str, &str); 6] = [
    ("rtsp_transport", "tcp"),
    ("timeout", "4000000"),
    ("allowed_media_types", "video"),
    ("probesize", "1000000"),
    ("analyzeduration", "500000"),
    ("fpsprobesize", "0"),
];

/// `-fflags nobuffer` is left out on purpose: it throws away the whole picture that was read while looking at the
/// stream, and the wait for the next one is longer (1.6 s against 3.2 s with one a second) while the delay
/// afterwards is the same (0.12 s, most of it the camera's).
const ARGUMENTS: [&str; 33] = [
    "-nostdin",
    "-hide_banner",
    "-v",
    "error",
    "-probesize",
    "1000000",
    "-analyzeduration",
    "500000",
    "-fpsprobesize",
    "0",
    "-flags",
    "low_delay",
    // One decoding thread: the box's cores belong to detection.
    "-threads",
    "1",
    "-f",
    "concat",
    "-safe",
    "0",
    // Whatever a camera answers, ffmpeg opens no file and no other kind of address.
    "-protocol_whitelist",
    "pipe,rtsp,rtp,tcp,udp",
    "-i",
    "pipe:0",
    "-map",
    "0:v:0",
    // Pictures are left out and never repeated: at least 35 ms lie between two, so 25 a second stay 25, and 30 become
    // 15. A clock that jumps back or is missing holds nothing up. Larger ones than 1280 are made smaller.
    "-vf",
    "select='isnan(t)+isnan(prev_selected_t)+gte(abs(t-prev_selected_t),0.035)',scale='min(1280,iw)':-2:flags=bilinear",
    "-fps_mode",
    "passthrough",
    "-f",
    "image2pipe",
    "-c:v",
    "ppm",
    "pipe:1",
];

/// A camera whose video comes over RTSP.
pub struct RtspSource {
    pictures: BufReader<PictureChild>,
    /// How texts name the camera.
    name: String,
    secrets: Secrets,
    has_login: bool,
    clock: SystemClock,
    first_at: Option<Monotonic>,
    count: u64,
    ended: Option<SourceError>,
}

impl RtspSource {
    /// Starts ffmpeg; whether the camera answers is known at the first `next`.
    pub fn open(config: &NetworkConfig) -> Result<Self, SourceError> {
        Self::open_with(OsStr::new("ffmpeg"), config)
    }

    fn open_with(program: &OsStr, config: &NetworkConfig) -> Result<Self, SourceError> {
        let unusable =
            || SourceError::new("a camera's address cannot be used; give one such as rtsp://192.168.1.20/live");
        let host = host_of(&config.url).ok_or_else(unusable)?;
        let name = format!("the camera at {host}");
        let script = script(&config.url, config.login.as_ref());
        if script.len() > PictureChild::MOST_INPUT_BYTES {
            return Err(SourceError::refused(format!("the user or password of {name} is too long; {REMEDY}")));
        }
        let child = PictureChild::start_with_input(program, ARGUMENTS, script.as_bytes());
        let child = child.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => SourceError::new(format!(
                "{name} needs ffmpeg, which is not installed; install it: sudo apt-get install ffmpeg"
            )),
            _ => SourceError::new(format!("ffmpeg cannot be started for {name}: {e}; check the free memory")),
        })?;
        Ok(Self {
            // A pipe holds 64 KB: a larger buffer would never be filled by one read.
            pictures: BufReader::with_capacity(64 * 1024, child),
            name,
            secrets: Secrets::of(config.login.as_ref()),
            has_login: config.login.is_some(),
            clock: SystemClock::new(),
            first_at: None,
            count: 0,
            ended: None,
        })
    }

    /// Why there are no more pictures.
    fn judge_end(&mut self, broken: Option<io::Error>) -> SourceError {
        let name = &self.name;
        if self.pictures.get_ref().was_stopped() {
            return SourceError::new(format!("{name} was stopped"));
        }
        if let Some(error) = broken.filter(|error| error.kind() == io::ErrorKind::InvalidData) {
            return SourceError::new(format!("the pictures of {name} cannot be read: {error}; lower its resolution"));
        }
        let (_, last) = self.pictures.get_mut().finish();
        let first = self.pictures.get_ref().first_words();
        // Refused before the first picture, or while the camera is asked to go on.
        let says = |word: &str| first.contains(word) || last.contains(word);
        if says("401 Unauthorized") {
            return SourceError::refused(match self.has_login {
                true => format!("{name} did not accept the user or password; {REMEDY}"),
                false => format!("{name} wants a user and a password; {REMEDY}"),
            });
        }
        if says("403 Forbidden") {
            return SourceError::refused(format!("{name} does not let this user see its pictures; {REMEDY}"));
        }
        let said = self.secrets.hidden(if self.count == 0 && !first.is_empty() { &first } else { &last });
        SourceError::new(match self.count {
            _ if says("404 Not Found") => format!("{name} answers 404 Not Found; check the path in its address"),
            0 => format!("{name} gives no pictures ({said}); check its power, its cable and its address"),
            count => format!("{name} broke off after {count} pictures ({said}); check its cable and power"),
        })
    }
}

impl FrameSource for RtspSource {
    fn next(&mut self) -> Result<Option<Capture>, SourceError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let broken = match read_picture(&mut self.pictures) {
            Ok(Some(pixels)) => {
                self.count += 1;
                let now = self.clock.monotonic();
                let offset = now.since(*self.first_at.get_or_insert(now));
                return Ok(Some(Capture { offset, pixels }));
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let error = self.judge_end(broken);
        self.ended = Some(error.clone());
        Err(error)
    }

    fn pace(&self) -> Pace {
        Pace::Live
    }

    fn frozen_after(&self) -> Option<std::time::Duration> {
        Some(super::SAME_VIDEO_FOR)
    }

    fn stop_handle(&self) -> Option<StopHandle> {
        Some(self.pictures.get_ref().stop_handle())
    }
}

/// Host and port of an address that can stand in a script; `None` for any other address, and for one with a user.
fn host_of(url: &str) -> Option<String> {
    let can_be_quoted = |c: char| c.is_ascii_graphic() && !matches!(c, '\'' | '\\');
    let address: Uri = Some(url).filter(|url| url.chars().all(can_be_quoted))?.parse().ok()?;
    let authority = address.authority()?.as_str();
    let usable = address.scheme_str() == Some("rtsp") && !authority.contains('@') && !authority.starts_with(':');
    usable.then(|| authority.to_owned())
}

/// The script for ffmpeg's concatenation of one "file".
fn script(url: &str, login: Option<&Login>) -> String {
    let shown = login.map(|Login { user, password }| format!("{}:{}@", encoded(user), encoded(password)));
    let address = url.replacen("://", &format!("://{}", shown.unwrap_or_default()), 1);
    let options = CONNECTION.iter().map(|(name, value)| format!("option {name} {value}\n"));
    format!("ffconcat version 1.0\nfile '{address}'\n{}", options.collect::<String>())
}

/// Every byte that has a meaning in an address, in the script or to a terminal as %XX.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// What must not be read in ffmpeg's words.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(login: Option<&Login>) -> Self {
        let all = login.map(|Login { password, .. }| vec![password.clone(), encoded(password)]);
        Self(all.unwrap_or_default().into_iter().filter(|secret| !secret.is_empty()).collect())
    }

    /// ffmpeg's words without its internal addresses, and without any network address: it may hold the password, whole or
    /// cut off. Words that still hold it are kept to ourselves altogether.
    fn hidden(&self, said: &str) -> String {
        // "[rtsp @ 0x55aa…] " and "pipe:0: ".
        let said = if said.starts_with('[') { said.split_once("] ").map_or(said, |(_, rest)| rest) } else { said };
        let said = said.trim_start_matches("pipe:0: ");
        let mut shown = String::new();
        for word in said.split_inclusive([' ', '\'', '"']) {
            let end = word.len() - word.chars().next_back().filter(|c| " '\"".contains(*c)).map_or(0, char::len_utf8);
            shown.push_str(if word[..end].contains("://") { "its address" } else { &word[..end] });
            shown.push_str(&word[end..]);
        }
        match shown.trim() {
            "" => "no word from ffmpeg".to_owned(),
            shown if self.0.iter().any(|secret| shown.contains(secret)) => {
                "ffmpeg's words hold the password".to_owned()
            }
            shown => shown.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn login(user: &str, password: &str) -> Login {
        Login { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn the_script_holds_address_login_and_options() {
        let script = script("rtsp://cam:554/live?x=1", Some(&login("till", "pa ss@w:o/r%d'\n\u{f6}")));
        let lines: Vec<&str> = script.lines().collect();
        assert_eq!(lines[1], "file 'rtsp://till:pa%20ss%40w%3Ao%2Fr%25d%27%0A%C3%B6@cam:554/live?x=1'");
        assert_eq!(lines.len(), 2 + CONNECTION.len());
        assert!(lines.contains(&"option rtsp_transport tcp"));
    }

    #[test]
    fn addresses_that_cannot_be_quoted_are_refused() {
        assert_eq!(host_of("rtsp://cam:554/live").as_deref(), Some("cam:554"));
        assert_eq!(host_of("rtsp://[::1]/live").as_deref(), Some("[::1]"));
        for url in [
            "http://cam/",
            "rtsp://",
            "rtsp:///live",
            "rtsp://a:b@cam/",
            "rtsp://cam/'\nfile 'x",
            "rtsp://c/a'b",
            "cam",
        ] {
            let error = RtspSource::open(&NetworkConfig { url: url.to_owned(), login: None }).err().expect(url);
            assert!(error.to_string().contains("give one such as"), "{error}");
        }
        let config = NetworkConfig { url: "rtsp://cam/".to_owned(), login: Some(login("u", &"x".repeat(5_000))) };
        assert!(RtspSource::open(&config).err().expect("too long").is_refused());
    }

    #[test]
    fn a_missing_ffmpeg_is_named_with_the_command_that_installs_it() {
        let config = NetworkConfig { url: "rtsp://cam/live".to_owned(), login: None };
        let error = RtspSource::open_with(OsStr::new("ffmpeg-of-nowhere"), &config).err().unwrap().to_string();
        assert!(error.contains("sudo apt-get install ffmpeg") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn words_of_ffmpeg_are_shown_without_addresses() {
        let secrets = Secrets::of(Some(&login("till", "s3cr:t")));
        for (said, shown) in [
            (
                "[tcp @ 0x55bc] Connection to tcp://cam:1?timeout=4 failed: Connection refused",
                "Connection to its address failed: Connection refused",
            ),
            ("[concat @ 0x5] Impossible to open 'rtsp://till:s3cr%3At@cam/live'", "Impossible to open 'its address'"),
            ("Impossible to open 'rtsp://till:s3cr", "Impossible to open 'its address"),
            ("pipe:0: Input/output error", "Input/output error"),
            ("odd: s3cr:t", "ffmpeg's words hold the password"),
            ("odd: s3cr%3At", "ffmpeg's words hold the password"),
            ("", "no word from ffmpeg"),
        ] {
            assert_eq!(secrets.hidden(said), shown);
        }
        assert_eq!(Secrets::of(Some(&login("u", ""))).hidden("plain"), "plain");
    }

    proptest! {
        #[test]
        fn whatever_the_password_is_it_is_never_shown(password in "\\PC{1,12}", before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let login = login("till", &password);
            let secrets = Secrets::of(Some(&login));
            let script = script("rtsp://cam/live", Some(&login));
            prop_assert_eq!(script.lines().count(), 2 + CONNECTION.len());
            for said in [format!("{before}{password}{after}"), format!("{before}{}{after}", encoded(&password)), script] {
                let shown = secrets.hidden(&said);
                let fixed = ["ffmpeg's words hold the password", "no word from ffmpeg"].contains(&shown.as_str());
                prop_assert!(fixed || !shown.contains(&password), "{}", shown);
            }
        }
    }
}
