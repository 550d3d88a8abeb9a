//! A pack is used whole and as released, or not at all; a refusal says what is wrong and what to do.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use snova::app::Places;
use snova::vision::{PackError, Vision, VisionConfig, open};

const PACK: &str = "centerface-mobilefacenet";

/// A copy of the installed pack that a test may spoil.
struct Copy {
    dir: tempfile::TempDir,
    library: PathBuf,
}

fn copy() -> Copy {
    let places = Places::find(None, None, PACK).expect("the models are installed: run `snova setup`");
    let dir = tempfile::tempdir().expect("a temporary folder");
    for file in ["pack.toml", "centerface.onnx", "mobilefacenet.onnx"] {
        std::fs::copy(places.pack.join(file), dir.path().join(file)).expect("the pack's file is there");
    }
    Copy { dir, library: places.library }
}

impl Copy {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self) -> Result<impl Vision + use<>, PackError> {
        open(self.dir.path(), &self.library, &VisionConfig::default())
    }

    fn refusal(&self) -> String {
        match self.open() {
            Ok(_) => "it was accepted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// Replaces the manifest's only `from`; the test is wrong if there is none or more than one.
    fn change(&self, from: &str, to: &str) -> &Self {
        let path = self.file("pack.toml");
        let text = std::fs::read_to_string(&path).expect("the manifest is there");
        assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in the manifest");
        std::fs::write(path, text.replace(from, to)).expect("the manifest is written");
        self
    }
}

fn one_line_with(refusal: &str, parts: &[&str]) {
    assert!(!refusal.contains('\n'), "one line: {refusal}");
    for part in parts {
        assert!(refusal.contains(part), "{refusal:?} says {part:?}");
    }
}

fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).expect("the weights are there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("the weights are written");
}

#[test]
fn the_pack_as_installed_is_accepted() {
    let vision = copy().open().expect("nothing was spoilt");
    assert_eq!((vision.pack().name.as_str(), vision.pack().dimension), (PACK, 192));
    assert!(vision.pack().thresholds.is_calibrated());
}

#[test]
fn packs_refuse_what_does_not_match() {
    for weights in ["centerface.onnx", "mobilefacenet.onnx"] {
        let pack = copy();
        flip_a_byte(&pack.file(weights));
        one_line_with(&pack.refusal(), &[weights, "sha256", "run `snova setup`"]);

        let pack = copy();
        std::fs::remove_file(pack.file(weights)).expect("it was there");
        one_line_with(&pack.refusal(), &[weights, "missing", "run `snova setup`"]);
    }

    // Files that are whole and in each other's place, hashes and all.
    let swapped = copy();
    let (detector, embedder) = (swapped.file("centerface.onnx"), swapped.file("mobilefacenet.onnx"));
    std::fs::rename(&detector, swapped.file("third")).expect("renamed");
    std::fs::rename(&embedder, &detector).expect("renamed");
    std::fs::rename(swapped.file("third"), &embedder).expect("renamed");
    one_line_with(&swapped.refusal(), &["centerface.onnx", "sha256"]);
    const DETECTOR: &str = "5aaf17b351911ad4a27f126d2de45809710c458b95cba4a6478c4fd4e2e9d978";
    const EMBEDDER: &str = "5c6b609dc6537a8ac908db7bc1a9ca6595826c64e4b69857677828c8a0760de9";
    swapped.change(DETECTOR, "d").change(EMBEDDER, DETECTOR).change("\"d\"", &format!("\"{EMBEDDER}\""));
    one_line_with(&swapped.refusal(), &["centerface.onnx", "does not match its manifest", "input.1"]);

    let cases: [(&str, &str, &[&str]); 8] = [
        (DETECTOR, EMBEDDER, &["centerface.onnx", "sha256", EMBEDDER, "run `snova setup`"]),
        ("dimension = 192", "dimension = 128", &["mobilefacenet.onnx", "128", "restore both"]),
        ("name = \"input.1\"", "name = \"image\"", &["no input \"image\"", "it has input.1", "restore both"]),
        ("name = \"input\"", "name = \"data\"", &["no input \"data\"", "restore both"]),
        ("\"537\", \"538\"", "\"537\", \"999\"", &["no output \"999\"", "restore both"]),
        ("output = \"embedding\"", "output = \"fc1\"", &["no output \"fc1\"", "restore both"]),
        ("side = 112", "side = 160", &["mobilefacenet.onnx", "160", "restore both"]),
        ("multiple_of = 32", "multiple_of = 32\nfixed_size = [640, 640]", &["centerface.onnx", "640", "restore both"]),
    ];
    for (from, to, says) in cases {
        one_line_with(&copy().change(from, to).refusal(), says);
    }
}

#[test]
fn a_manifest_that_says_nonsense_is_refused_by_the_key() {
    let cases: [(&str, &str, &[&str]); 14] = [
        ("confidence = 0.5", "confidence = 1.5", &["confidence", "between 0 and 1"]),
        ("confidence = 0.5", "confidence = nan", &["confidence", "between 0 and 1"]),
        ("nms_iou = 0.3", "nms_iou = 0.0", &["nms_iou", "between 0 and 1"]),
        ("std = [1.0, 1.0, 1.0]", "std = [1.0, 0.0, 1.0]", &["std"]),
        ("mean = [127.5, 127.5, 127.5]", "mean = [127.5, inf, 127.5]", &["mean"]),
        ("multiple_of = 32", "multiple_of = 0", &["multiple_of"]),
        ("dimension = 192", "dimension = 0", &["dimension"]),
        ("side = 112", "side = 0", &["side"]),
        ("file = \"centerface.onnx\"", "file = \"../centerface.onnx\"", &["plain file name"]),
        ("outputs = [\"537\", \"538\", \"539\", \"540\"]", "outputs = [\"537\", \"538\"]", &["2", "4"]),
        ("outputs = [\"537\", \"538\"", "outputs = [\"537\", \"537\"", &["\"537\"", "twice"]),
        ("[[38.2946, 51.6963], [73.5318, 51.5014]", "[[38.0, 51.0], [nan, 51.0]", &["alignment"]),
        ("[[38.2946, 51.6963], [73.5318, 51.5014]", "[[38.0, 51.0], [500.0, 51.0]", &["alignment"]),
        (
            "fpir = 0.01, gallery = 10, templates = 1, shots = 1, threshold = ",
            "fpir = 0.01, gallery = 10, templates = 1, shots = 1, threshold = 7",
            &["threshold"],
        ),
    ];
    for (from, to, says) in cases {
        let refusal = copy().change(from, to).refusal();
        one_line_with(&refusal, says);
        one_line_with(&refusal, &["pack.toml", "restore it from the release"]);
    }
    for (from, to, says) in [
        ("head = \"centerface\"", "head = \"retinaface\"", "retinaface"),
        ("side = 112", "side = 112\ncrop = true", "crop"),
        ("summary =", "[[[", "pack.toml"),
    ] {
        one_line_with(&copy().change(from, to).refusal(), &["not valid", says, "restore it from the release"]);
    }
    let without = copy();
    std::fs::remove_file(without.file("pack.toml")).expect("it was there");
    one_line_with(&without.refusal(), &["pack.toml", "run `snova setup`"]);
}

#[test]
fn weights_that_forbid_shops_are_used_for_evaluation_only() {
    let pack = copy();
    let text = std::fs::read_to_string(pack.file("pack.toml")).expect("the manifest is there");
    let (detector, embedder) = text.split_at(text.find("[embedder]").expect("the embedder's part"));
    let forbidden = embedder.replacen("commercial_use = true", "commercial_use = false", 1);
    std::fs::write(pack.file("pack.toml"), format!("{detector}{forbidden}")).expect("the manifest is written");
    one_line_with(&pack.refusal(), &[PACK, "forbids commercial use", "choose another pack", "allow_noncommercial"]);
    let config = VisionConfig { allow_noncommercial: true, ..VisionConfig::default() };
    assert!(open(pack.dir.path(), &pack.library, &config).is_ok(), "the owner said that it is for evaluation");
}

#[test]
fn a_pack_without_measured_thresholds_names_nobody() {
    let pack = copy();
    let text = std::fs::read_to_string(pack.file("pack.toml")).expect("the manifest is there");
    let before = &text[..text.find("[thresholds]").expect("the table")];
    std::fs::write(pack.file("pack.toml"), before).expect("the manifest is written");
    let vision = pack.open().expect("it may be opened, to be calibrated");
    assert!(!vision.pack().thresholds.is_calibrated());
    assert_eq!(vision.pack().thresholds.threshold(0.1, 1, 1, 1).0, f32::INFINITY);
}
