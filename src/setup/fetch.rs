//! Fetches an archive by the registry's own client (`pip download`, `npm pack`), a child process, and believes
//! nothing that it has not hashed.
//!
//! The clients bring what a shop's network needs: proxy, mirror, certificates, retries. Taking the archive apart
//! is `super::archive`'s.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::archive::{self, ArchiveError};
use super::plan::{Fetch, Registry};
use super::progress::Event;
use crate::vision::manifest::{Package, PypiForm};

/// The programs that fetch, and how patiently.
#[derive(Clone, Debug)]
pub struct Clients {
    pub python: OsString,
    pub npm: OsString,
    /// How often a broken or failed download is tried in all.
    pub tries: u32,
    pub pause_between_tries: Duration,
    /// A client whose files do not grow for this long is stopped.
    pub stalled_after: Duration,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            python: "python3".into(),
            npm: "npm".into(),
            tries: 3,
            pause_between_tries: Duration::from_secs(2),
            stalled_after: Duration::from_secs(300),
        }
    }
}

/// Why an archive could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{client} cannot be started: {cause}")]
    NoClient { client: String, cause: String },
    #[error("{client} failed: {cause}")]
    Client { client: &'static str, cause: String },
    #[error("{client} did not move for {} s", .after.as_secs())]
    Stalled { client: &'static str, after: Duration },
    #[error("{client} left {count} files, expected one archive")]
    NotOneFile { client: &'static str, count: usize },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("{path}: {cause}", path = .path.display())]
    Disk { path: PathBuf, cause: io::Error },
}

impl FetchError {
    /// Whether trying again may help.
    fn may_pass(&self) -> bool {
        !matches!(self, Self::NoClient { .. } | Self::Disk { .. })
    }
}

impl Clients {
    /// The archive of `fetch`, verified, somewhere below `staging`. What was refused is removed at once.
    pub(super) fn archive(&self, fetch: &Fetch, staging: &Path, tell: &dyn Fn(Event)) -> Result<PathBuf, FetchError> {
        let title = fetch.title();
        tell(Event::Fetching { package: title.clone(), bytes: fetch.package.bytes });
        let mut tries_left = self.tries;
        loop {
            let folder = staging.join(format!("{tries_left}-left"));
            let cause = match self.try_once(fetch, &folder, tell) {
                Ok(archive) => return Ok(archive),
                Err(error) => error,
            };
            let _ = fs::remove_dir_all(&folder);
            tries_left = tries_left.saturating_sub(1);
            if tries_left == 0 || !cause.may_pass() {
                return Err(cause);
            }
            tell(Event::Retrying { package: title.clone(), cause: cause.to_string() });
            std::thread::sleep(self.pause_between_tries);
        }
    }

    fn try_once(&self, fetch: &Fetch, folder: &Path, tell: &dyn Fn(Event)) -> Result<PathBuf, FetchError> {
        let (client, mut command) = match fetch.registry {
            Registry::Pypi => ("pip", pip(&self.python, &fetch.package, folder)?),
            Registry::Npm => ("npm", npm(&self.npm, &fetch.package, folder)?),
        };
        let log = folder.join("client.log");
        let out = folder.join("out");
        let output = create(&log)?;
        let errors = output.try_clone().map_err(disk(&log))?;
        command.current_dir(&out).env("TMPDIR", folder.join("tmp"));
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(|error| FetchError::NoClient {
            client: command.get_program().to_string_lossy().into_owned(),
            cause: error.to_string(),
        })?;
        let status = self.watch(client, child, fetch, folder, tell)?;
        if !status.success() {
            let said = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            return Err(refusal(client, &said, &fetch.package.sha256));
        }
        let archive = sole_file(client, &out)?;
        archive::verify(&archive, &fetch.package.sha256)?;
        Ok(archive)
    }

    /// Waits for the client. It tells nobody how far it is, so what it writes is measured instead.
    fn watch(
        &self,
        client: &'static str,
        mut child: Child,
        fetch: &Fetch,
        folder: &Path,
        tell: &dyn Fn(Event),
    ) -> Result<ExitStatus, FetchError> {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        let (mut seen, mut unmoved) = (0, Duration::ZERO);
        loop {
            if let Some(status) = child.try_wait().map_err(disk(folder))? {
                return Ok(status);
            }
            std::thread::sleep(LOOK_EVERY);
            let written = size_below(folder);
            if written != seen {
                (seen, unmoved) = (written, Duration::ZERO);
                let so_far = written.min(fetch.package.bytes);
                tell(Event::Fetched { package: fetch.title(), bytes: so_far });
                continue;
            }
            unmoved += LOOK_EVERY;
            if unmoved >= self.stalled_after {
                let _ = child.kill();
                let _ = child.wait();
                return Err(FetchError::Stalled { client, after: self.stalled_after });
            }
        }
    }
}

fn pip(python: &OsString, package: &Package, folder: &Path) -> Result<Command, FetchError> {
    let requirements = folder.join("requirements.txt");
    create_dir(&folder.join("out"))?;
    create_dir(&folder.join("tmp"))?;
    // With the hash in the requirement pip refuses a wrong archive before it even looks inside.
    let line = format!("{}=={} --hash=sha256:{}\n", package.package, package.version, package.sha256);
    write(&requirements, &line)?;
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--no-input"]);
    command.args(["--disable-pip-version-check", "--retries", "2", "--dest", ".", "--require-hashes", "-r"]);
    command.arg(&requirements);
    match package.form {
        PypiForm::Wheel => {
            command.args(["--only-binary=:all:", "--implementation", "cp"]);
            command.args(["--python-version", package.python.as_deref().unwrap_or("3.11")]);
            command.args(["--platform", package.platform.as_deref().unwrap_or("any")]);
        }
        PypiForm::Sdist => {
            let backend = folder.join("backend");
            create_dir(&backend.join("setuptools"))?;
            write(&backend.join("setuptools/__init__.py"), "")?;
            write(&backend.join("setuptools/build_meta.py"), include_str!("sdist_backend.py"))?;
            command.args(["--no-binary=:all:", "--no-build-isolation"]);
            // Newer versions of pip know only this way and no longer the option; all of them read the variable.
            command.env("PIP_USE_PEP517", "1");
            command.env("PYTHONPATH", &backend).env("SETUPTOOLS_USE_DISTUTILS", "stdlib");
            command.env("SNOVA_SDIST_NAME", &package.package).env("SNOVA_SDIST_VERSION", &package.version);
        }
    }
    Ok(command)
}

fn npm(program: &OsString, package: &Package, folder: &Path) -> Result<Command, FetchError> {
    create_dir(&folder.join("out"))?;
    create_dir(&folder.join("tmp"))?;
    let mut command = Command::new(program);
    command.args([
        "pack",
        "--ignore-scripts",
        "--loglevel=error",
        "--no-update-notifier",
        "--fetch-retries=1",
        "--cache",
    ]);
    command.arg(folder.join("cache"));
    command.arg(format!("{}@{}", package.package, package.version));
    Ok(command)
}

/// What a failed client meant, in one line.
fn refusal(client: &'static str, said: &str, expected: &str) -> FetchError {
    if said.contains("No module named pip") {
        return FetchError::NoClient { client: "python3 -m pip".to_owned(), cause: "pip is not installed".to_owned() };
    }
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut got = said.lines().filter_map(|line| line.trim().strip_prefix("Got")).map(str::trim);
    if let Some(got) = got.rfind(|word| is_digest(word)) {
        return ArchiveError::Hash { expected: expected.to_owned(), got: got.to_owned() }.into();
    }
    // Without a network pip ends with "no matching version", which sends people the wrong way.
    if said.contains("Retrying (") && said.contains("Could not find a version") {
        let cause = "no connection to the package index".to_owned();
        return FetchError::Client { client, cause };
    }
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error =
        |line: &&str| line.starts_with("ERROR") || line.starts_with("npm err") || line.starts_with("npm ERR");
    let line = lines().find(is_error).or_else(|| lines().next_back()).unwrap_or("it said nothing");
    FetchError::Client { client, cause: line.chars().take(300).collect() }
}

fn sole_file(client: &'static str, folder: &Path) -> Result<PathBuf, FetchError> {
    let entries = fs::read_dir(folder).map_err(disk(folder))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    match (files.pop(), files.len()) {
        (Some(file), 0) => Ok(file),
        (last, others) => Err(FetchError::NotOneFile { client, count: others + usize::from(last.is_some()) }),
    }
}

fn size_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn disk(path: &Path) -> impl Fn(io::Error) -> FetchError + '_ {
    move |cause| FetchError::Disk { path: path.to_owned(), cause }
}

fn create(path: &Path) -> Result<File, FetchError> {
    File::create(path).map_err(disk(path))
}

fn create_dir(path: &Path) -> Result<(), FetchError> {
    fs::create_dir_all(path).map_err(disk(path))
}

fn write(path: &Path, text: &str) -> Result<(), FetchError> {
    fs::write(path, text).map_err(disk(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_a_client_becomes_one_line() {
        let (expected, got) = ("a".repeat(64), "b".repeat(64));
        let said = format!(
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n   x:\n Expected sha256 {expected}\n   Got        {got}\n"
        );
        let text = refusal("pip", &said, &expected).to_string();
        assert_eq!(text, format!("expected sha256 {expected}, got {got}"));
        let text = refusal("npm", "npm notice\nnpm error code ENOTFOUND\nnpm error more\n", "").to_string();
        assert_eq!(text, "npm failed: npm error code ENOTFOUND");
        let said = "WARNING: Retrying (Retry(total=1)) after x\nERROR: Could not find a version that satisfies x\n";
        assert_eq!(refusal("pip", said, "").to_string(), "pip failed: no connection to the package index");
        assert_eq!(refusal("npm", "", "").to_string(), "npm failed: it said nothing");
        let absent = refusal("pip", "/usr/bin/python3: No module named pip\n", "");
        assert!(!absent.may_pass(), "{absent}");
    }
}
