//! The real program in a box of its own: configuration, data folder, what it printed and what it needed.
//!
//! What a command should say is in the tests.

use std::cell::RefCell;
use std::fs;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use snova::clock::{Clock, SystemClock};

/// What `snova setup` installed for the tests.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/.cache")
}

pub fn packs() -> PathBuf {
    installed().join("packs")
}

pub fn pack_name() -> &'static str {
    "centerface-mobilefacenet"
}

pub fn runtime_library() -> PathBuf {
    installed().join("runtime").join(snova::vision::runtime::LIBRARY)
}

/// A sample picture.
pub fn media(name: &str) -> PathBuf {
    let path = installed().join("media").join(name);
    assert!(path.is_file(), "{} is missing: run `snova setup` first", path.display());
    path
}

/// A box: a folder with a configuration, and a data folder that is not there yet.
pub struct Shop {
    dir: tempfile::TempDir,
    data: RefCell<PathBuf>,
}

/// How a command ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
    /// The most memory it held, as the kernel counts it.
    pub peak_kb: u64,
}

impl Shop {
    pub fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = RefCell::new(dir.path().join("data"));
        let shop = Self { dir, data };
        shop.configure("");
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the data folder would be.
    pub fn data(&self) -> PathBuf {
        self.data.borrow().clone()
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes the configuration: `sections`, and what a test must not share with the machine where they do not say it.
    pub fn configure(&self, sections: &str) {
        // A free port now; nothing of a box under test listens for long.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config: toml::Table = toml::from_str(sections).unwrap();
        for (section, key, value) in [
            ("device", "data_dir", self.data().display().to_string()),
            ("runtime", "packs_dir", packs().display().to_string()),
            ("runtime", "library", runtime_library().display().to_string()),
            ("web", "listen", format!("127.0.0.1:{port}")),
        ] {
            let section = config.entry(section).or_insert_with(|| toml::Table::new().into());
            section.as_table_mut().unwrap().entry(key).or_insert(value.into());
        }
        fs::write(self.path("snova.toml"), config.to_string()).unwrap();
    }

    pub fn keep_data_in(&self, folder: &Path) {
        *self.data.borrow_mut() = folder.to_owned();
        self.configure("");
    }

    /// Иван Петрович, from one photograph.
    pub fn enrol_somebody(&self) {
        let (photo, consented) = (media("obama-1.jpg"), "2026-01-15");
        let name = ["enrol", "--given", "Иван", "--patronymic", "Петрович"];
        let rest = ["--consent-on", consented, "--consent-method", "paper-form", photo.to_str().unwrap()];
        let ended = self.snova(&[&name[..], &rest[..]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }

    /// The names in the box's folder.
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    /// Runs the program in the box's folder, with its configuration.
    pub fn snova(&self, arguments: &[&str]) -> Ended {
        let (clock, mut out, mut err) =
            (SystemClock::new(), tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
        command.args(arguments).arg("--config").arg(self.path("snova.toml")).current_dir(self.dir.path());
        command.env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        // Files, unlike pipes, never fill up.
        command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
        let (status, peak_kb) = wait(command.spawn().expect("snova starts").id());
        let took = clock.monotonic().0;
        let (out, err) = (whole(&mut out), whole(&mut err));
        let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        let ended = Ended { code, out, err, took, peak_kb };
        assert!(!ended.err.contains("panicked") && ended.code.is_some(), "{arguments:?}: {}", ended.err);
        ended
    }
}

impl Ended {
    /// One line on standard error that begins with the program's name and holds `parts`, and a failing code.
    pub fn fails_with(&self, parts: &[&str]) {
        assert!(self.code.is_some_and(|code| code != 0), "it did not fail: {}", self.out);
        let one_line = self.err.starts_with("snova: ") && self.err.ends_with('\n') && self.err.lines().count() == 1;
        assert!(one_line, "not one line: {}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in: {}", self.err);
        }
        // Whatever is said twice was said by an error and its cause alike.
        let words: Vec<&str> = self.err.trim_end().trim_start_matches("snova: ").split(": ").collect();
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "said twice: {}", self.err);
    }
}

fn whole(file: &mut fs::File) -> String {
    file.rewind().unwrap();
    std::io::read_to_string(file).unwrap()
}

/// Waits for a child and asks the kernel how much memory it held: status and kilobytes.
fn wait(pid: u32) -> (i32, u64) {
    let mut status = 0;
    // SAFETY: the child is ours and nobody else waits for it; both pointers are to live locals, and all zeroes
    // is a valid `rusage`.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(pid as i32, &raw mut status, 0, &raw mut usage), pid as i32);
        usage
    };
    (status, u64::try_from(usage.ru_maxrss).unwrap_or(0))
}
