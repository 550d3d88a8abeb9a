//! Setup as an installer sees it: broken downloads, second runs, files of the owner, real models.
//!
//! pip and npm are stood in for by scripts that serve files made here; one test asks the real pip, offline.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic as the test may")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use snova::setup::{Event, FileState, Manifests, Options, PackTexts, Plan, Progress, Report, SetupError};
use snova::vision::golden::{self, GoldenCases};

const LIBRARY: &[u8] = b"a shared library";
const PICTURE: &[u8] = b"a picture";
const DETECTOR: &[u8] = b"a detector";
const EMBEDDER: &[u8] = b"an embedder";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn wheel(member: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// A registry of four packages, stand-ins for the clients that serve them, and a target folder.
struct Shop {
    folder: tempfile::TempDir,
    /// What each package really is.
    packages: BTreeMap<&'static str, Vec<u8>>,
}

/// A stand-in for a client; `tests/support/clients/serve.sh` says what they serve.
fn stand_in(name: &str) -> OsString {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clients").join(name).into()
}

impl Shop {
    fn new() -> Self {
        let packages = BTreeMap::from([
            ("engine", wheel("engine/lib.so", LIBRARY)),
            ("pictures", tarball(&[("pictures-1/one.jpg", PICTURE)])),
            ("finder", wheel("finder/find.onnx", DETECTOR)),
            ("describer", tarball(&[("package/describe.onnx", EMBEDDER)])),
        ]);
        let shop = Self { folder: tempfile::tempdir().unwrap(), packages };
        fs::create_dir(shop.path("served")).unwrap();
        for (name, bytes) in &shop.packages {
            shop.serve(&format!("{name}.good"), bytes);
        }
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn target(&self, name: &str) -> PathBuf {
        self.path("target").join(name)
    }

    fn serve(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path("served").join(name), bytes).unwrap();
    }

    /// The packages that were asked for, one line a call.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let mut calls: Vec<String> = calls.lines().map(str::to_owned).collect();
        calls.sort();
        calls
    }

    fn options(&self) -> Options {
        let mut options = Options::into_dir(self.path("target"));
        options.clients.python = stand_in("python3");
        options.clients.npm = stand_in("npm");
        options.clients.pause_between_tries = Duration::ZERO;
        options
    }

    fn archive(&self, name: &str, member: &str, content: &[u8], key: &str) -> String {
        let bytes = &self.packages[name];
        format!(
            "package = {name:?}\nversion = \"1\"\nsha256 = {:?}\nbytes = {}\n[[{key}]]\npath = {member:?}\n\
             sha256 = {:?}\nbytes = {}\n",
            sha256(bytes),
            bytes.len(),
            sha256(content),
            content.len()
        )
    }

    fn plan(&self) -> Plan {
        let engine = |architecture: &str| {
            let key = format!("{architecture}.members");
            format!("[{architecture}]\n{}", self.archive("engine", "engine/lib.so", LIBRARY, &key))
        };
        let runtime = format!(
            "library = \"lib.so\"\nlicence = {{ spdx = \"MIT\", stated_in = \"here\" }}\n{}{}",
            engine("x86_64"),
            engine("aarch64")
        );
        let media = format!(
            "[[archive]]\nform = \"sdist\"\n{}name = \"one-1.jpg\"\nshows = \"One\"\npicture = \"a\"\n\
             licence = \"CC0-1.0\"\nstated_in = \"here\"\n",
            self.archive("pictures", "pictures-1/one.jpg", PICTURE, "archive.picture")
        );
        let licence = "{ weights = \"MIT\", stated_in = \"here\", commercial_use = true, training_data = \"none\" }";
        let pixels = "channels = \"rgb\", mean = [0, 0, 0], std = [1, 1, 1]";
        let pack = |name: &str, detector: &str, embedder: &str| {
            format!(
                "name = {name:?}\nsummary = \"a pack\"\n\
                 [detector]\nfile = \"find.onnx\"\nsha256 = {:?}\nhead = \"centerface\"\nconfidence = 0.5\n\
                 nms_iou = 0.3\noutputs = []\ninput = {{ name = \"i\", {pixels}, multiple_of = 32 }}\n\
                 licence = {licence}\n[detector.source]\n{detector}\n\
                 [embedder]\nfile = \"describe.onnx\"\nsha256 = {:?}\noutput = \"o\"\ndimension = 2\n\
                 alignment = [[0, 0], [0, 0], [0, 0], [0, 0], [0, 0]]\n\
                 input = {{ name = \"i\", {pixels}, side = 112 }}\nlicence = {licence}\n\
                 [embedder.source]\n{embedder}\n",
                sha256(DETECTOR),
                sha256(EMBEDDER)
            )
        };
        let finder = self.archive("finder", "finder/find.onnx", DETECTOR, "detector.source.members");
        let describer = self.archive("describer", "package/describe.onnx", EMBEDDER, "embedder.source.members");
        let user = |what: &str| format!("kind = \"user\"\nwhat = {what:?}");
        let fetched = pack("fetched", &format!("kind = \"pypi\"\n{finder}"), &format!("kind = \"npm\"\n{describer}"));
        let own = pack("own", &user("the finder"), &user("the describer"));
        let packs = [&fetched, &own].map(|manifest| PackTexts { manifest, golden: None });
        Plan::new(&Manifests { runtime: &runtime, media: &media, packs: &packs }, std::env::consts::ARCH).unwrap()
    }

    fn run(&self) -> (Result<Report, SetupError>, Vec<Event>) {
        self.run_with(&self.options())
    }

    fn run_with(&self, options: &Options) -> (Result<Report, SetupError>, Vec<Event>) {
        let engine_was_there = self.target("runtime/lib.so").exists();
        let mut watcher = Watcher { target: self.path("target"), engine_was_there, events: Vec::new() };
        let outcome = snova::setup::run(options, &self.plan(), &mut watcher);
        (outcome, watcher.events)
    }

    fn assert_complete(&self) {
        for (path, content) in [
            ("runtime/lib.so", LIBRARY),
            ("media/one-1.jpg", PICTURE),
            ("packs/fetched/find.onnx", DETECTOR),
            ("packs/fetched/describe.onnx", EMBEDDER),
        ] {
            assert_eq!(fs::read(self.target(path)).unwrap(), content, "{path}");
        }
        assert!(self.target("packs/fetched/pack.toml").exists() && self.target("packs/own/pack.toml").exists());
        assert!(!self.target(".staging").exists());
    }
}

/// Keeps the events, and sees that nothing is in place while anything is still being tried.
struct Watcher {
    target: PathBuf,
    engine_was_there: bool,
    events: Vec<Event>,
}

impl Progress for Watcher {
    fn on(&mut self, event: Event) {
        if let Event::Retrying { .. } = event {
            let is_there = self.target.join("runtime/lib.so").exists();
            assert_eq!(is_there, self.engine_was_there, "a download is in place before all are verified");
        }
        self.events.push(event);
    }
}

struct Silent;

impl Progress for Silent {
    fn on(&mut self, _event: Event) {}
}

fn retries(events: &[Event]) -> Vec<&str> {
    fn cause(event: &Event) -> Option<&str> {
        match event {
            Event::Retrying { cause, .. } => Some(cause.as_str()),
            _ => None,
        }
    }
    events.iter().filter_map(cause).collect()
}

#[test]
fn first_setup_installs_everything() {
    let shop = Shop::new();
    let report = shop.run().0.unwrap();
    assert_eq!((report.installed.len(), report.verified), (6, 0));
    assert_eq!(shop.calls(), ["describer", "engine", "finder", "pictures"]);
    shop.assert_complete();
}

#[test]
fn a_broken_download_is_refused_and_never_half_used() {
    let shop = Shop::new();
    let whole = &shop.packages["engine"];
    shop.serve("engine.1", &whole[..whole.len() / 2]);
    shop.serve("engine.2", &wheel("engine/lib.so", b"something else"));
    let (outcome, events) = shop.run();
    outcome.unwrap();
    let causes = retries(&events);
    assert_eq!(causes.len(), 2, "{events:?}");
    for (cause, served) in causes.iter().zip(["engine.1", "engine.2"]) {
        let got = sha256(&fs::read(shop.path("served").join(served)).unwrap());
        assert_eq!(*cause, format!("expected sha256 {}, got {got}", sha256(whole)));
    }
    shop.assert_complete();
}

#[test]
fn a_client_that_is_killed_half_way_is_tried_again() {
    let shop = Shop::new();
    shop.serve("describer.1", &shop.packages["describer"][..20]);
    shop.serve("describer.1.dies", b"");
    let (outcome, events) = shop.run();
    outcome.unwrap();
    assert!(retries(&events)[0].starts_with("npm failed"), "{events:?}");
    shop.assert_complete();
}

#[test]
fn a_download_that_stays_broken_is_one_line_and_the_rest_is_installed() {
    let shop = Shop::new();
    shop.serve("finder.good", b"rubbish");
    let (outcome, _) = shop.run();
    let text = outcome.unwrap_err().to_string();
    for part in ["finder 1", "3 tries", &sha256(&shop.packages["finder"]), &sha256(b"rubbish"), "`snova setup`"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!shop.target("packs/fetched/find.onnx").exists());
    assert_eq!(fs::read(shop.target("runtime/lib.so")).unwrap(), LIBRARY);
    assert!(!shop.target(".staging").exists());

    shop.serve("finder.good", &shop.packages["finder"]);
    let before = shop.calls().len();
    assert_eq!(shop.run().0.unwrap().installed.len(), 3);
    assert_eq!(shop.calls().len(), before + 1);
    shop.assert_complete();
}

#[test]
fn a_second_setup_does_nothing_and_needs_no_network() {
    let shop = Shop::new();
    shop.run().0.unwrap();
    let calls = shop.calls();
    let modified = || fs::metadata(shop.target("runtime/lib.so")).unwrap().modified().unwrap();
    let before = modified();
    fs::remove_dir_all(shop.path("served")).unwrap();
    let mut options = shop.options();
    (options.clients.python, options.clients.npm) = ("/nowhere/python3".into(), "/nowhere/npm".into());
    let (outcome, events) = shop.run_with(&options);
    let report = outcome.unwrap();
    assert_eq!((report.installed.len(), report.verified), (0, 4));
    assert_eq!((shop.calls(), modified(), events), (calls, before, Vec::new()));
}

#[test]
fn a_damaged_file_is_fetched_again_and_only_that() {
    let shop = Shop::new();
    shop.run().0.unwrap();
    fs::write(shop.target("media/one-1.jpg"), b"bit rot").unwrap();
    fs::remove_file(shop.path("calls")).unwrap();
    let (outcome, events) = shop.run();
    assert_eq!(outcome.unwrap().installed, [Path::new("media/one-1.jpg")]);
    assert!(matches!(&events[0], Event::Note(line) if line.contains("one-1.jpg is damaged")), "{events:?}");
    assert_eq!(shop.calls(), ["pictures"]);
    shop.assert_complete();
}

#[test]
fn what_a_killed_setup_left_behind_is_cleared_away() {
    let shop = Shop::new();
    fs::create_dir_all(shop.target(".staging/0/out")).unwrap();
    fs::write(shop.target(".staging/0/out/archive"), b"half of it").unwrap();
    shop.run().0.unwrap();
    shop.assert_complete();
}

#[test]
fn two_setups_at_once_fetch_everything_once() {
    let shop = Shop::new();
    std::thread::scope(|scope| {
        let setup = || snova::setup::run(&shop.options(), &shop.plan(), &mut Silent).unwrap();
        let both = [scope.spawn(setup), scope.spawn(setup)];
        let installed: usize = both.map(|one| one.join().unwrap().installed.len()).iter().sum();
        assert_eq!(installed, 6);
    });
    assert_eq!(shop.calls(), ["describer", "engine", "finder", "pictures"]);
    shop.assert_complete();
}

#[test]
fn a_missing_client_is_named_at_once() {
    let shop = Shop::new();
    let mut options = shop.options();
    options.clients.npm = "/nowhere/npm".into();
    let (outcome, events) = shop.run_with(&options);
    let error = outcome.unwrap_err();
    assert!(matches!(error, SetupError::NoClient { .. }), "{error}");
    assert!(error.to_string().contains("npm") && error.to_string().contains("--tools run"), "{error}");
    assert_eq!(retries(&events), Vec::<&str>::new());
}

#[test]
fn a_client_that_hangs_is_stopped() {
    let shop = Shop::new();
    let mut options = shop.options();
    options.clients.npm = stand_in("hangs");
    options.clients.stalled_after = Duration::from_millis(300);
    options.clients.tries = 1;
    let text = shop.run_with(&options).0.unwrap_err().to_string();
    assert!(text.contains("npm did not move"), "{text}");
}

#[test]
fn files_of_the_owner_are_asked_for_checked_and_kept() {
    let shop = Shop::new();
    let states =
        || -> Vec<FileState> { shop.run().0.unwrap().supplied.into_iter().map(|supplied| supplied.state).collect() };
    assert_eq!(states(), [FileState::Absent, FileState::Absent]);
    fs::write(shop.target("packs/own/find.onnx"), DETECTOR).unwrap();
    fs::write(shop.target("packs/own/describe.onnx"), b"another").unwrap();
    assert_eq!(states(), [FileState::Right, FileState::Wrong(sha256(b"another"))]);

    // Thresholds that the owner measured stay; the manifest of a shipped pack is the release's.
    let own = shop.target("packs/own/pack.toml");
    let calibrated = fs::read_to_string(&own).unwrap() + "[thresholds]\nevaluation = \"ours\"\n";
    fs::write(&own, &calibrated).unwrap();
    let shipped = fs::read_to_string(shop.target("packs/fetched/pack.toml")).unwrap();
    fs::write(shop.target("packs/fetched/pack.toml"), "old").unwrap();
    states();
    assert_eq!(fs::read_to_string(&own).unwrap(), calibrated);
    assert_eq!(fs::read_to_string(shop.target("packs/fetched/pack.toml")).unwrap(), shipped);
    fs::write(&own, "not a manifest").unwrap();
    states();
    assert!(fs::read_to_string(&own).unwrap().contains("name = \"own\""));
}

#[test]
fn an_sdist_is_fetched_without_running_its_code() {
    let mut shop = Shop::new();
    let setup_py = format!("open({:?}, 'w').close()\nraise SystemExit(1)\n", shop.path("executed"));
    let info = b"Metadata-Version: 2.1\nName: pictures\nVersion: 1\n";
    let files: [(&str, &[u8]); 3] =
        [("pictures-1/PKG-INFO", info), ("pictures-1/setup.py", setup_py.as_bytes()), ("pictures-1/one.jpg", PICTURE)];
    shop.packages.insert("pictures", tarball(&files));
    fs::write(shop.path("pictures-1.tar.gz"), &shop.packages["pictures"]).unwrap();
    let mut options = shop.options();
    options.clients.python = stand_in("real-pip");
    shop.run_with(&options).0.unwrap();
    shop.assert_complete();
    assert!(!shop.path("executed").exists());
}

/// What `make setup` installs.
fn installed() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(snova::setup::DEFAULT_DIR);
    assert!(dir.join("runtime").exists(), "{} is not set up: run `make setup`", dir.display());
    dir
}

#[test]
fn converted_models_give_their_golden_values() {
    let dir = installed();
    snova::vision::runtime::load(&dir.join("runtime")).unwrap();
    snova::vision::runtime::load(Path::new("/nowhere")).expect("loading again changes nothing");
    let golden = GoldenCases::parse(Manifests::SHIPPED.packs[0].golden.unwrap()).unwrap();
    let pack = dir.join("packs/centerface-mobilefacenet");
    for file in ["centerface.onnx", "mobilefacenet.onnx"] {
        assert_eq!(golden.of(file).count(), 2);
        golden::check(&pack.join(file), golden.of(file)).unwrap();
    }
    let swapped = golden::check(&pack.join("mobilefacenet.onnx"), golden.of("centerface.onnx"));
    assert!(swapped.is_err(), "another model cannot pass");
    let mut wrong = golden.of("mobilefacenet.onnx").next().unwrap().clone();
    wrong.outputs[0].first8[3] *= 1.01;
    let text = golden::check(&pack.join("mobilefacenet.onnx"), [&wrong]).unwrap_err().to_string();
    assert!(text.contains("value 3 of output \"embedding\""), "{text}");
}

#[test]
fn what_is_installed_is_what_the_release_pins() {
    let mut options = Options::into_dir(installed());
    options.clients.python = "/nowhere/python3".into();
    options.clients.npm = "/nowhere/npm".into();
    let report = snova::setup::run(&options, &Plan::shipped().unwrap(), &mut Silent).unwrap();
    assert_eq!((report.installed.len(), report.verified), (0, 8));
}
