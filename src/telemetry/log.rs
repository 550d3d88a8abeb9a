//! Log lines: their level, which may change while the service runs, and where they go.
//!
//! What is logged is each room's own; no room logs a name, a phone, a picture or a password.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Subscriber;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error(
        "log level \"{level}\" is not understood ({cause}); give error, warn, info, debug or trace, \
         or a list like info,snova::camera=debug"
    )]
    Level { level: String, cause: String },
    #[error("logging is set up already")]
    AlreadySet,
    #[error("the log file {} cannot be written: {cause}; let Snova's user write there, or leave file in [log] empty", .path.display())]
    File { path: PathBuf, cause: io::Error },
}

type Level = reload::Handle<Targets, Registry>;

/// The running log. Dropping it changes nothing.
pub struct Logging {
    level: Level,
}

impl Logging {
    /// Changes the level from the next line on.
    pub fn set_level(&self, level: &str) -> Result<(), LoggingError> {
        let filter = targets(level)?;
        // The other cause of an error is a subscriber that is gone, which the process's own never is.
        let _ = self.level.reload(filter);
        Ok(())
    }
}

/// A file of log lines with a bounded size: it and the one before it (`….1`) have `max_bytes` together at most.
///
/// Written here because a box must go on with a full or vanished disk: a line that cannot be written is lost,
/// and nothing else. The rotating crates at hand panic or stop there.
#[derive(Clone)]
pub struct LogFile(Arc<Mutex<Pages>>);

struct Pages {
    path: PathBuf,
    file: File,
    bytes: u64,
    most_bytes: u64,
}

impl LogFile {
    /// Opens `path` to be written on, for Snova's user alone; the folder must be there.
    pub fn open(path: &Path, max_bytes: u64) -> Result<Self, LoggingError> {
        let failed = |cause| LoggingError::File { path: path.to_owned(), cause };
        let file = open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let pages = Pages { path: path.to_owned(), file, bytes, most_bytes: max_bytes / 2 };
        Ok(Self(Arc::new(Mutex::new(pages))))
    }
}

impl Pages {
    fn turn(&mut self) -> io::Result<()> {
        let mut before = self.path.clone().into_os_string();
        before.push(".1");
        fs::rename(&self.path, before)?;
        self.file = open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.bytes > 0 && pages.bytes + line.len() as u64 > pages.most_bytes {
            pages.turn()?;
        }
        // A line longer than a page is cut: the bound holds whatever is logged.
        let fitting = line.len().min(usize::try_from(pages.most_bytes).unwrap_or(usize::MAX));
        pages.file.write_all(&line[..fitting])?;
        pages.bytes += fitting as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Sends the process's log lines to `writer` (`std::io::stderr` outside tests). `level` is a level or a list
/// of levels by module: `info,snova::camera=debug`. Colours only where standard error is a terminal.
pub fn init_logging<W>(level: &str, writer: W) -> Result<Logging, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    init(level, writer, colours)
}

/// As [`init_logging`], into a file.
pub fn init_logging_to_file(level: &str, file: LogFile) -> Result<Logging, LoggingError> {
    init(level, move || file.clone(), false)
}

fn init<W>(level: &str, writer: W, colours: bool) -> Result<Logging, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (subscriber, level) = subscriber(level, writer, colours)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::AlreadySet)?;
    Ok(Logging { level })
}

fn subscriber<W>(level: &str, writer: W, colours: bool) -> Result<(impl Subscriber + Send + Sync, Level), LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(targets(level)?);
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(writer);
    Ok((tracing_subscriber::registry().with(filter).with(lines), handle))
}

fn targets(level: &str) -> Result<Targets, LoggingError> {
    level.parse().map_err(|cause: ParseError| LoggingError::Level { level: level.to_owned(), cause: cause.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log_at(level: &str, colours: bool) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let (subscriber, _) = subscriber(level, move || writer.clone(), colours).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(after_ms = 30_000, "no frame");
            tracing::debug!(target: "snova::camera", "camera detail");
            tracing::debug!(target: "snova::store", "store detail");
        });
        paper.text()
    }

    #[test]
    fn level_alone_hides_what_is_below_it() {
        let text = log_at("info", false);
        assert!(text.contains("no frame") && text.contains("after_ms=30000"), "{text}");
        assert!(!text.contains("detail"), "{text}");
    }

    #[test]
    fn one_room_can_be_listened_to_closely() {
        let text = log_at("info,snova::camera=debug", false);
        assert!(text.contains("camera detail") && !text.contains("store detail"), "{text}");
    }

    #[test]
    fn log_that_is_not_a_terminal_has_no_colours() {
        assert!(!log_at("info", false).contains('\u{1b}'));
        assert!(log_at("info", true).contains('\u{1b}'));
    }

    #[test]
    fn level_that_is_not_one_is_refused_with_the_right_words() {
        let error = subscriber("loud,snova=shout", io::sink, false).err().unwrap().to_string();
        assert!(error.contains("loud") && error.contains("give error, warn, info"), "{error}");
    }

    #[test]
    fn the_level_may_change_while_lines_are_written() {
        let paper = Paper::default();
        let writer = paper.clone();
        let (subscriber, level) = subscriber("warn", move || writer.clone(), false).unwrap();
        let logging = Logging { level };
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("too early");
            logging.set_level("info").unwrap();
            tracing::info!("in time");
            assert!(logging.set_level("snova=shout").is_err());
            tracing::info!("still");
        });
        let text = paper.text();
        assert!(!text.contains("too early") && text.contains("in time") && text.contains("still"), "{text}");
    }

    #[test]
    fn a_log_file_stays_within_its_size_and_keeps_the_newest_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snova.log");
        for run in 0..3 {
            let mut file = LogFile::open(&path, 2_000).unwrap();
            for line in 0..200 {
                file.write_all(format!("run {run} line {line}\n").as_bytes()).unwrap();
                let sizes = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
                assert!(sizes.sum::<u64>() <= 2_000);
            }
        }
        let newest = fs::read_to_string(&path).unwrap();
        assert!(newest.ends_with("run 2 line 199\n"), "{newest}");
        let before = fs::read_to_string(dir.path().join("snova.log.1")).unwrap();
        assert!(before.starts_with("run 2 line"), "whole lines: {before}");
        LogFile::open(&path, 2_000).unwrap().write_all(&[b'x'; 9_000]).unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= 1_000, "one endless line");
    }

    #[test]
    fn a_log_file_that_vanishes_or_cannot_be_opened_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/snova.log");
        let error = LogFile::open(&path, 2_000).err().unwrap().to_string();
        assert!(error.contains("snova.log") && error.contains("[log]"), "{error}");
        fs::create_dir(dir.path().join("logs")).unwrap();
        let mut file = LogFile::open(&path, 2_000).unwrap();
        fs::remove_dir_all(dir.path().join("logs")).unwrap();
        for _ in 0..200 {
            let _ = file.write_all(b"a line that goes nowhere\n");
        }
    }
}
