//! What `snova check` asks of the data folder: whose its files are, and who else may read or change them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Finding, Severity};

const AREA: &str = "data folder";

/// Nothing where there is no folder; one finding when all is well.
pub(super) fn folder(dir: &Path) -> Vec<Finding> {
    let (Ok(folder), Ok(entries)) = (fs::metadata(dir), fs::read_dir(dir)) else { return Vec::new() };
    let mut findings = Vec::new();
    let shown = dir.display();
    if folder.mode() & 0o077 != 0 {
        // Who may write there may put another database in the place of this one.
        let severity = if folder.mode() & 0o022 == 0 { Severity::Warning } else { Severity::Error };
        let what = format!("others on this machine may use {shown} (mode {:o})", folder.mode() & 0o7777);
        findings.push(Finding::new(severity, AREA, what).with_remedy(format!("run `chmod 700 {shown}`")));
    }
    let mut files: Vec<_> = entries.filter_map(Result::ok).collect();
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let Ok(facts) = file.metadata() else { continue };
        if !name.starts_with("snova.") && !name.starts_with("device.key") {
            continue;
        }
        if facts.uid() != folder.uid() {
            let what = format!("{shown}/{name} belongs to user {}, the folder to user {}", facts.uid(), folder.uid());
            let remedy = format!("run `chown {}:{} {shown}/{name}`", folder.uid(), folder.gid());
            findings.push(Finding::new(Severity::Error, AREA, what).with_remedy(remedy));
        }
        // The lock and the kept configuration have nothing of anybody in them.
        if facts.mode() & 0o077 != 0 && (name.starts_with("snova.db") || name.starts_with("device.key")) {
            let what = format!("others on this machine may read {shown}/{name} (mode {:o})", facts.mode() & 0o7777);
            findings
                .push(Finding::new(Severity::Error, AREA, what).with_remedy(format!("run `chmod 600 {shown}/{name}`")));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::new(Severity::Ok, AREA, format!("{shown} and its files are their owner's alone")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_may_read_or_write_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(dir.path(), 0o700);
        let key = dir.path().join("device.key");
        fs::write(&key, b"").unwrap();
        mode(&key, 0o600);
        fs::write(dir.path().join("snova.lock"), b"").unwrap();
        let worst = || folder(dir.path()).iter().map(|found| found.severity).max();
        assert_eq!(worst(), Some(Severity::Ok));
        mode(&key, 0o640);
        let found = folder(dir.path());
        assert!(found.len() == 1 && found[0].what.contains("device.key"), "{found:?}");
        mode(&key, 0o600);
        mode(dir.path(), 0o750);
        assert_eq!(worst(), Some(Severity::Warning));
        mode(dir.path(), 0o777);
        assert_eq!(worst(), Some(Severity::Error));
        assert!(folder(&dir.path().join("nowhere")).is_empty());
    }
}
