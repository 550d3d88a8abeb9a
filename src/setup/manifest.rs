//! The manifests that travel inside the binary: ONNX Runtime, the packs, the sample pictures.
//!
//! A pack's own manifest is `crate::vision::manifest`'s; which file is made of what is `super::plan`'s.

use serde::Deserialize;

use super::SetupError;
use crate::vision::manifest::{Member, Package, PypiForm};

/// The texts that a plan is made of.
#[derive(Clone, Copy, Debug)]
pub struct Manifests<'a> {
    pub runtime: &'a str,
    pub media: &'a str,
    pub packs: &'a [PackTexts<'a>],
}

/// One pack: its manifest and, if its models are converted here, their golden cases.
#[derive(Clone, Copy, Debug)]
pub struct PackTexts<'a> {
    pub manifest: &'a str,
    pub golden: Option<&'a str>,
}

impl Manifests<'static> {
    /// What this release of Snova uses.
    pub const SHIPPED: Self = Self {
        runtime: include_str!("../../models/runtime.toml"),
        media: include_str!("../../models/media.toml"),
        packs: &[
            PackTexts {
                manifest: include_str!("../../models/centerface-mobilefacenet/pack.toml"),
                golden: Some(include_str!("../../models/centerface-mobilefacenet/golden.toml")),
            },
            PackTexts { manifest: include_str!("../../models/yunet-sface/pack.toml"), golden: None },
        ],
    };
}

/// `runtime.toml`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeManifest {
    /// The file's name when installed.
    pub library: String,
    pub licence: RuntimeLicence,
    x86_64: Package,
    aarch64: Package,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeLicence {
    pub spdx: String,
    pub stated_in: String,
}

impl RuntimeManifest {
    /// The archive for a processor architecture, as `std::env::consts::ARCH` names it.
    pub fn archive(&self, architecture: &str) -> Option<&Package> {
        match architecture {
            "x86_64" => Some(&self.x86_64),
            "aarch64" => Some(&self.aarch64),
            _ => None,
        }
    }
}

/// `media.toml`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaManifest {
    #[serde(rename = "archive")]
    pub archives: Vec<MediaArchive>,
}

/// A PyPI archive that holds pictures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaArchive {
    pub package: String,
    pub version: String,
    #[serde(default)]
    pub form: PypiForm,
    #[serde(default)]
    pub platform: Option<String>,
    #[serde(default)]
    pub python: Option<String>,
    pub sha256: String,
    pub bytes: u64,
    #[serde(rename = "picture")]
    pub pictures: Vec<Picture>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// The file's name when installed.
    pub name: String,
    /// Who is shown.
    pub shows: String,
    /// Occasion, date and photographer, as far as known.
    pub picture: String,
    pub licence: String,
    pub stated_in: String,
    /// In the archive: path, sha256 and size in bytes.
    pub path: String,
    pub sha256: String,
    pub bytes: u64,
}

impl MediaManifest {
    /// The sample pictures of this release: who is shown in which file, and under which terms.
    pub fn shipped() -> Result<Self, SetupError> {
        parse("media.toml", Manifests::SHIPPED.media)
    }

    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.archives.iter().flat_map(|archive| &archive.pictures)
    }
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T, SetupError> {
    let one_line = |error: toml::de::Error| error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    toml::from_str(text).map_err(|error| SetupError::Manifest(format!("{name} is not valid: {}", one_line(error))))
}

impl MediaArchive {
    /// The archive as every other package is described.
    pub fn package(&self) -> Package {
        let member = |p: &Picture| Member { path: p.path.clone(), sha256: p.sha256.clone(), bytes: p.bytes };
        Package {
            package: self.package.clone(),
            version: self.version.clone(),
            sha256: self.sha256.clone(),
            bytes: self.bytes,
            form: self.form,
            platform: self.platform.clone(),
            python: self.python.clone(),
            members: self.pictures.iter().map(member).collect(),
            convert: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::vision::golden::GoldenCases;
    use crate::vision::manifest::{PackManifest, Source};

    fn is_filled_in(text: &str) -> bool {
        text.len() >= 3 && text.trim() == text
    }

    #[test]
    fn every_folder_with_a_pack_is_shipped_under_its_own_name() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let mut shipped: Vec<String> = Manifests::SHIPPED
            .packs
            .iter()
            .map(|pack| PackManifest::parse(pack.manifest, Path::new("pack.toml")).unwrap().name)
            .collect();
        shipped.sort();
        let mut folders: Vec<String> = std::fs::read_dir(&models)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("pack.toml").exists())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        folders.sort();
        assert_eq!(shipped, folders);
        for name in folders {
            assert_eq!(PackManifest::read(&models.join(&name)).unwrap().name, name);
        }
    }

    #[test]
    fn every_licence_and_origin_is_filled_in() {
        for pack in Manifests::SHIPPED.packs {
            let pack = PackManifest::parse(pack.manifest, Path::new("pack.toml")).unwrap();
            for (source, licence) in
                [(&pack.detector.source, &pack.detector.licence), (&pack.embedder.source, &pack.embedder.licence)]
            {
                assert!(is_filled_in(&licence.weights) && is_filled_in(&licence.stated_in), "{licence:?}");
                assert!(licence.training_data.len() > 40, "{licence:?}");
                assert!(licence.commercial_use, "no shipped pack may forbid shops");
                if let Source::User { what } = source {
                    assert!(is_filled_in(what));
                }
            }
        }
        let runtime: RuntimeManifest = toml::from_str(Manifests::SHIPPED.runtime).unwrap();
        assert_eq!(runtime.licence.spdx, "MIT");
        assert_eq!(runtime.library, crate::vision::runtime::LIBRARY);
        for picture in MediaManifest::shipped().unwrap().pictures() {
            for text in [&picture.shows, &picture.picture, &picture.licence, &picture.stated_in] {
                assert!(is_filled_in(text), "{picture:?}");
            }
        }
    }

    #[test]
    fn converted_models_have_golden_cases_for_each_file() {
        for texts in Manifests::SHIPPED.packs {
            let pack = PackManifest::parse(texts.manifest, Path::new("pack.toml")).unwrap();
            let golden = texts.golden.map(|text| GoldenCases::parse(text).unwrap());
            for (file, source) in
                [(&pack.detector.file, &pack.detector.source), (&pack.embedder.file, &pack.embedder.source)]
            {
                if !matches!(source, Source::User { .. }) {
                    assert!(golden.as_ref().unwrap().of(file).count() >= 2, "{file}");
                }
            }
        }
    }
}
