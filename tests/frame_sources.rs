//! Every source keeps the contract, and tells a person in one line what is wrong when it cannot.
//!
//! The supervisor's promises are not here: see `tests/camera_supervision.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/camera_contract.rs"]
mod camera_contract;
#[path = "support/camera_media.rs"]
mod camera_media;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use camera_contract::frame_source_contract;
use camera_media::{SCENE, media, scene, write_frames, write_video};
use snova::camera::{
    DEMO_SCENE, FrameSource, ImagesConfig, Scene, SceneScript, SceneSource, SourceSpec, VideoConfig, open,
};

fn images(folder: &Path) -> SourceSpec {
    SourceSpec::Images(ImagesConfig { folder: folder.into(), fps: 10.0, repeat: false })
}

fn video(file: &Path) -> SourceSpec {
    SourceSpec::Video(VideoConfig { file: file.into(), fps: 10.0, repeat: false })
}

/// The one-line error that opening or playing a source gives.
fn error_of(spec: &SourceSpec) -> String {
    let played = open(spec).and_then(|mut source| {
        while source.next()?.is_some() {}
        Ok(())
    });
    let error = played.expect_err("an error").to_string();
    assert!(!error.contains('\n') && error.len() < 600, "{error}");
    error
}

fn count(spec: &SourceSpec) -> usize {
    let mut source = open(spec).unwrap();
    std::iter::from_fn(|| source.next().unwrap()).count()
}

#[test]
fn images_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(write_frames(folder.path()), 8);
    fs::write(folder.path().join("notes.txt"), "not a picture, and not looked at").unwrap();
    frame_source_contract(|| open(&images(folder.path())).unwrap());
}

#[test]
fn video_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_video(folder.path(), "walk.mp4", 1);
    frame_source_contract(|| open(&video(&file)).unwrap());
    assert_eq!(count(&video(&file)), 8);
}

#[test]
fn scene_keeps_the_contract() {
    let media = media();
    frame_source_contract(|| Box::new(scene(media.path())));
}

#[test]
fn images_come_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for (name, grey) in [("c.PNG", 3), ("a.png", 1), ("b.png", 2)] {
        let path = folder.path().join(name);
        image::RgbImage::from_pixel(8, 8, image::Rgb([grey; 3]))
            .save_with_format(path, image::ImageFormat::Png)
            .unwrap();
    }
    let mut source = open(&images(folder.path())).unwrap();
    for grey in 1..=3 {
        let snova::face::Pixels::Rgb8(picture) = source.next().unwrap().unwrap().pixels else { panic!("RGB") };
        assert_eq!(picture.get_pixel(0, 0).0, [grey; 3]);
    }
}

#[test]
fn a_repeated_recording_begins_anew_while_its_time_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = write_frames(folder.path());
    let file = write_video(folder.path(), "walk.mp4", 1);
    let media = media();
    let script = folder.path().join("walk.toml");
    fs::write(&script, SCENE).unwrap();
    for spec in [
        SourceSpec::Images(ImagesConfig { folder: folder.path().into(), fps: 10.0, repeat: true }),
        SourceSpec::Video(VideoConfig { file, fps: 10.0, repeat: true }),
        SourceSpec::Scene { script: SceneScript::File(script), media: media.path().into(), repeat: true },
    ] {
        let mut source = open(&spec).unwrap();
        let played: Vec<_> = (0..3 * pictures).map(|_| source.next().unwrap().expect("no end")).collect();
        assert!(played.windows(2).all(|pair| pair[0].offset < pair[1].offset), "{spec:?}");
        assert_eq!(played[2 * pictures].offset, Duration::from_millis(200 * pictures as u64), "{spec:?}");
    }
}

#[test]
fn a_video_is_played_at_the_rate_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_video(folder.path(), "walk.mp4", 5);
    let at = |fps| count(&SourceSpec::Video(VideoConfig { file: file.clone(), fps, repeat: false }));
    assert_eq!(at(10.0), 40);
    assert!((19..=21).contains(&at(5.0)));
    assert!((79..=81).contains(&at(20.0)));
}

#[test]
fn what_is_not_there_is_named() {
    let nowhere = Path::new("/nowhere/at-all");
    let folder = tempfile::tempdir().unwrap();
    let script = |file: PathBuf| SourceSpec::Scene {
        script: SceneScript::File(file),
        media: folder.path().into(),
        repeat: false,
    };
    for spec in
        [images(nowhere), video(nowhere), script(nowhere.into()), video(folder.path()), script(folder.path().into())]
    {
        let error = error_of(&spec);
        assert!(error.contains("/nowhere/at-all") || error.contains(folder.path().to_str().unwrap()), "{error}");
    }
    let portrait_missing = SourceSpec::Scene {
        script: SceneScript::BuiltIn { name: "test.toml", text: SCENE },
        media: folder.path().into(),
        repeat: false,
    };
    let error = error_of(&portrait_missing);
    assert!(error.starts_with("scene test.toml: portrait.ann: ") && error.contains("ann.png"), "{error}");
}

#[test]
fn an_empty_folder_says_what_to_put_there() {
    let folder = tempfile::tempdir().unwrap();
    assert!(error_of(&images(folder.path())).contains("put JPEG or PNG files into it"));
}

#[test]
fn a_text_with_a_pictures_name_is_refused_before_anything_is_played() {
    let folder = tempfile::tempdir().unwrap();
    write_frames(folder.path());
    fs::write(folder.path().join("z-last.jpg"), "this is a text").unwrap();
    let error = open(&images(folder.path())).err().expect("an error at opening").to_string();
    assert!(error.contains("z-last.jpg") && error.contains("neither JPEG nor PNG"), "{error}");
}

#[test]
fn a_damaged_picture_is_named_when_its_turn_comes() {
    let folder = tempfile::tempdir().unwrap();
    write_frames(folder.path());
    let third = folder.path().join("frame-02.png");
    let bytes = fs::read(&third).unwrap();
    fs::write(&third, &bytes[..bytes.len() / 2]).unwrap();
    assert!(error_of(&images(folder.path())).contains("frame-02.png"));
    image::RgbImage::new(7, 7).save(&third).unwrap();
    assert!(error_of(&images(folder.path())).contains("frame-02.png"), "another size than the first");
}

#[test]
fn a_text_with_a_videos_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("holiday.mp4");
    fs::write(&file, "this is a text, whatever its name says\n".repeat(100)).unwrap();
    let error = error_of(&video(&file));
    assert!(error.contains("holiday.mp4") && error.contains("cannot be read as a video"), "{error}");
}

#[test]
fn a_name_that_looks_like_an_option_or_a_protocol_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["-i.mp4", "concat:a|b.mp4", "it's 100% mine.mp4"] {
        let file = write_video(folder.path(), "walk.mp4", 1);
        let odd = folder.path().join(name);
        fs::rename(file, &odd).unwrap();
        assert_eq!(count(&video(&odd)), 8, "{name}");
    }
}

#[test]
fn a_video_cut_short_gives_what_it_has_and_comes_to_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_video(folder.path(), "walk.mp4", 20);
    let whole = fs::read(&file).unwrap();
    let cut = folder.path().join("cut.mp4");
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let mut source = open(&video(&cut)).unwrap();
    let mut given = 0;
    let end = loop {
        match source.next() {
            Ok(Some(_)) => given += 1,
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    assert!((20..150).contains(&given), "{given} pictures of 160");
    assert!(end.is_none_or(|error| error.contains("cut.mp4") && !error.contains('\n')));
    // With its index gone, too, it is no video any more.
    fs::write(&cut, &whole[..200]).unwrap();
    assert!(error_of(&video(&cut)).contains("cannot be read as a video"));
}

#[test]
fn absurd_rates_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_frames(folder.path());
    for fps in [0.0, -5.0, f64::NAN, f64::INFINITY, 1e9] {
        let spec = SourceSpec::Images(ImagesConfig { folder: folder.path().into(), fps, repeat: false });
        assert!(error_of(&spec).contains("give a rate"));
    }
}

#[test]
fn the_truth_follows_the_face() {
    let media = media();
    let mut source = scene(media.path());
    let mut seen = 0;
    while let Some(capture) = source.next().unwrap() {
        let snova::face::Pixels::Rgb8(picture) = capture.pixels else { panic!("RGB") };
        for truth in source.scene().truth(capture.offset) {
            assert_eq!(&*truth.identity, "ann");
            let centre = truth.bounds.centre();
            if truth.bounds.width() > 30.0 {
                let [red, _, blue] = picture.get_pixel(centre.x as u32, centre.y as u32).0;
                assert!(red > blue + 30, "skin at the face's centre, not {red} {blue}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 4, "{seen}");
}

fn sample_media() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/.cache/media");
    assert!(folder.is_dir(), "the sample media are missing: run `make setup`");
    folder
}

fn shipped(name: &str) -> Scene {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes").join(name);
    Scene::open(&path, &sample_media()).unwrap()
}

/// Who is wholly in the picture in each tenth of a second.
fn cast(scene: &Scene) -> Vec<BTreeSet<String>> {
    let at = |tenth: u64| scene.truth(Duration::from_millis(100 * tenth));
    let tenths = 0..scene.length().as_millis() as u64 / 100;
    let whole = |truths: Vec<snova::camera::Truth>| {
        let inside = truths.into_iter().filter(|truth| truth.bounds.share_inside(640, 480) == 1.0);
        inside.map(|truth| truth.identity.to_string()).collect()
    };
    tenths.map(|tenth| whole(at(tenth))).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_demo_shows_a_regular_a_stranger_two_regulars_and_an_empty_counter() {
    let demo = Scene::parse("demo.toml", DEMO_SCENE, &sample_media()).unwrap();
    let mut acts = cast(&demo);
    acts.dedup();
    let (regular, stranger, both) = (set(&["sample-1"]), set(&["stranger-1"]), set(&["sample-1", "sample-2"]));
    let second = set(&["sample-2"]);
    let nobody = BTreeSet::new();
    let (start, rest) = acts.split_at(6);
    assert_eq!(start, [nobody.clone(), regular, nobody.clone(), stranger, nobody.clone(), second]);
    assert_eq!(rest[0], both);
    assert_eq!(rest.last(), Some(&nobody));
    assert_eq!(demo.length(), Duration::from_secs(40));
}

#[test]
fn the_short_scenes_show_who_they_say() {
    for (name, who) in [
        ("regular.toml", set(&["sample-1"])),
        ("strangers.toml", set(&["stranger-1"])),
        ("two-regulars.toml", set(&["sample-1", "sample-2"])),
    ] {
        let scene = shipped(name);
        let cast = cast(&scene);
        assert!((6..=12).contains(&scene.length().as_secs()), "{name}");
        assert_eq!(cast.iter().flatten().cloned().collect::<BTreeSet<_>>(), who, "{name}");
        assert!(cast.iter().filter(|present| **present == who).count() >= 25, "{name}: all at once for 2.5 s");
        assert!(cast[0].is_empty() && cast[cast.len() - 1].is_empty(), "{name}: begins and ends empty");
    }
}

#[test]
fn shipped_scenes_can_be_drawn() {
    for name in ["regular.toml", "strangers.toml", "two-regulars.toml", "demo.toml"] {
        let mut source = SceneSource::new(shipped(name), false);
        let sizes = (0..25).map(|_| match source.next().unwrap().unwrap().pixels {
            snova::face::Pixels::Rgb8(picture) => picture.dimensions(),
            _ => panic!("a drawn scene is RGB"),
        });
        assert!(sizes.into_iter().all(|size| size == (640, 480)));
    }
}

#[test]
fn faces_never_cover_each_other_in_the_shipped_scenes() {
    for name in ["two-regulars.toml", "demo.toml"] {
        let scene = shipped(name);
        for tenth in 0..scene.length().as_millis() as u64 / 100 {
            let truths = scene.truth(Duration::from_millis(100 * tenth));
            for (index, one) in truths.iter().enumerate() {
                assert!(truths[index + 1..].iter().all(|other| one.bounds.iou(&other.bounds) == 0.0), "{name} {tenth}");
            }
        }
    }
}
