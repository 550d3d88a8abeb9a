//! The configuration file as a text: where it is found, and the last one that a service ran by.
//!
//! What the text means is `super::Config`'s. When the last good one is used is `snova run`'s.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Config, ConfigError, SEARCH_PATHS, reader, sections};

/// The copy of the configuration by which the service last ran well, in the data folder.
const LAST_GOOD: &str = "snova.toml.last-good";

/// A configuration file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub path: PathBuf,
    pub text: String,
}

impl Document {
    /// The file at `path`, which must be there; without a path the first of [`SEARCH_PATHS`] that is, if any.
    pub fn find(path: Option<&Path>) -> Result<Option<Self>, ConfigError> {
        match path {
            Some(path) => Self::read(path)?.ok_or_else(|| ConfigError::Missing(path.to_owned())).map(Some),
            None => Self::search(SEARCH_PATHS.map(Path::new)),
        }
    }

    /// What the text says, or every fault of it.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::parse(&self.text, &self.path)
    }

    /// The data folder that the text names, as far as it can be understood.
    pub fn data_dir(&self) -> PathBuf {
        let mut faults = reader::Faults::new(&self.text, &self.path);
        sections::config(&mut faults).device.data_dir
    }

    /// Keeps this text in `data_dir` as the last good one of this machine. Whole or not at all, also in a power cut.
    pub fn keep_as_last_good(&self, data_dir: &Path) -> io::Result<()> {
        let path = data_dir.join(LAST_GOOD);
        let kept = format!("{}\n{}", mark(data_dir, &machine()), self.text);
        if fs::read_to_string(&path).is_ok_and(|there| there == kept) {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(data_dir)?;
        file.write_all(kept.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        fs::File::open(data_dir)?.sync_all()
    }

    /// The last good one of `data_dir`, if there is one that this machine kept there: in a folder that was cloned from
    /// another box it is that box's, with its cameras and its CRM.
    pub fn last_good(data_dir: &Path) -> Option<Self> {
        let kept = Self::read(&data_dir.join(LAST_GOOD)).ok().flatten()?;
        kept.of_machine(data_dir, &machine())
    }

    fn of_machine(self, data_dir: &Path, machine: &[u8]) -> Option<Self> {
        let (first, text) = self.text.split_once('\n')?;
        (first == mark(data_dir, machine)).then(|| Self { text: text.to_owned(), ..self })
    }

    fn search<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Option<Self>, ConfigError> {
        for path in paths {
            let found = Self::read(path)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// `None` where there is no file.
    fn read(path: &Path) -> Result<Option<Self>, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(Self { path: path.to_owned(), text })),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(ConfigError::Unreadable { path: path.to_owned(), cause }),
        }
    }
}

/// What tells this machine from another: the id of its system and, on boards that have one, their serial number.
fn machine() -> Vec<u8> {
    let parts = ["/etc/machine-id", "/sys/firmware/devicetree/base/serial-number"];
    parts.iter().flat_map(|part| fs::read(part).unwrap_or_default()).collect()
}

/// The first line of a kept text: a comment that only this machine writes in this folder.
fn mark(data_dir: &Path, machine: &[u8]) -> String {
    let place = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let mut hash = Sha256::new();
    hash.update(place.as_os_str().as_encoded_bytes());
    hash.update(b"\0");
    hash.update(machine);
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("# Kept by snova on this machine: {digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_of_the_search_wins_and_none_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a.toml"), dir.path().join("b.toml"));
        let search = || Document::search([first.as_path(), second.as_path()]).unwrap();
        assert_eq!(search(), None);
        fs::write(&second, "[device]\nname = \"second\"\n").unwrap();
        assert_eq!(search().unwrap().config().unwrap().device.name, "second");
        fs::write(&first, "[device]\nname = \"first\"\n").unwrap();
        assert_eq!(search().unwrap().config().unwrap().device.name, "first");
    }

    #[test]
    fn the_last_good_text_of_another_box_is_not_this_ones() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let good = Document { path: PathBuf::from("snova.toml"), text: "[device]\nname = \"till\"\n".to_owned() };
        good.keep_as_last_good(here.path()).unwrap();
        assert!(Document::last_good(here.path()).is_some());
        fs::copy(here.path().join(LAST_GOOD), there.path().join(LAST_GOOD)).unwrap();
        assert_eq!(Document::last_good(there.path()), None, "cloned into another folder");
        let kept = || Document::read(&here.path().join(LAST_GOOD)).unwrap().unwrap();
        assert!(kept().of_machine(here.path(), &machine()).is_some());
        assert_eq!(kept().of_machine(here.path(), b"another machine"), None, "cloned to another machine");
        fs::write(here.path().join(LAST_GOOD), &good.text).unwrap();
        assert_eq!(Document::last_good(here.path()), None, "nobody says whose it is");
    }

    #[test]
    fn the_last_good_text_is_kept_and_found_through_a_faulty_one() {
        let dir = tempfile::tempdir().unwrap();
        let document = |text: String| Document { path: PathBuf::from("snova.toml"), text };
        let head = format!("[device]\ndata_dir = \"{}\"\n", dir.path().display());
        assert_eq!(Document::last_good(dir.path()), None);
        let good = document(format!("{head}name = \"till\"\n"));
        good.keep_as_last_good(dir.path()).unwrap();
        good.keep_as_last_good(dir.path()).unwrap();
        let faulty = document(format!("{head}nmae = \"till\"\n"));
        assert!(faulty.config().is_err());
        let kept = Document::last_good(&faulty.data_dir()).unwrap();
        assert_eq!(kept.text, good.text);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }
}
