//! Folders of `<identity>/<image>` in name order.

use std::path::{Path, PathBuf};

use super::EvalError;

/// One person's pictures, in name order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub pictures: Vec<PathBuf>,
}

/// Reads a folder of identities, sorted by name. Files that are not named as JPEG or PNG are passed over
/// (folders of photographs often hold notes); identities without pictures too.
pub fn read_folder(folder: &Path) -> Result<Vec<Identity>, EvalError> {
    let mut identities = Vec::new();
    for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let pictures: Vec<PathBuf> = entries(&path)?.into_iter().filter(|p| is_picture(p)).collect();
        if !pictures.is_empty() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            identities.push(Identity { name, pictures });
        }
    }
    if identities.is_empty() { Err(EvalError::Empty(folder.to_owned())) } else { Ok(identities) }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let unreadable = |e: std::io::Error| EvalError::Unreadable { path: folder.to_owned(), cause: e.to_string() };
    let listed = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = listed.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    path.is_file() && matches!(extension.as_str(), "jpg" | "jpeg" | "png")
}
