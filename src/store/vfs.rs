//! SQLite's file layer, with one addition: what is cut off or deleted is overwritten with zeros first.
//!
//! A file system frees blocks without clearing them, so a log that is truncated leaves its rows on the raw disk. SQLite
//! chooses the moment; here the bytes are only written in place, on the blocks that are about to be freed. Everything else
//! is passed on to the system's own layer. When the log is emptied is `super::scrub`'s.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi;

/// Under this name the layer is known to SQLite.
pub(super) const NAME: &CStr = c"snova-scrub";

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Of a log or journal that goes, these bytes are overwritten and on the disk before any other: the header says whether the rest
/// counts. Cut short by a power cut the other way round, a log would be played back half, over a newer database.
const HEADER: u64 = 4096;

/// Makes the layer known to SQLite, once a process; `false` where SQLite refuses it.
pub(super) fn register() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| {
        super::heap::wipe_what_is_freed();
        // SAFETY: a null name asks for the default layer, which lives as long as the process. The copy is leaked, so that it
        // does too; all that SQLite calls in it are functions of this file with the types that SQLite states.
        unsafe {
            let system = ffi::sqlite3_vfs_find(ptr::null());
            if system.is_null() {
                return false;
            }
            let ours = Box::leak(Box::new(ffi::sqlite3_vfs {
                // The calls of later versions exchange system calls for tests of SQLite itself.
                iVersion: (*system).iVersion.min(2),
                szOsFile: size_of::<ScrubFile>() as c_int + (*system).szOsFile,
                mxPathname: (*system).mxPathname,
                pNext: ptr::null_mut(),
                zName: NAME.as_ptr(),
                pAppData: system.cast(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xFullPathname: Some(full_path_name),
                xDlOpen: None,
                xDlError: None,
                xDlSym: None,
                xDlClose: None,
                xRandomness: Some(randomness),
                xSleep: Some(sleep),
                xCurrentTime: Some(current_time),
                xGetLastError: Some(last_error),
                xCurrentTimeInt64: Some(current_time_int64),
                xSetSystemCall: None,
                xGetSystemCall: None,
                xNextSystemCall: None,
            }));
            ffi::sqlite3_vfs_register(ours, 0) == ffi::SQLITE_OK
        }
    })
}

/// Overwrites a whole file on its own blocks; header first, each step on the disk before the next.
pub(super) fn overwrite(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    let length = file.metadata()?.len();
    zero_file(&file, 0, length.min(HEADER))?;
    zero_file(&file, HEADER, length)
}

fn zero_file(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let step = (to - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..step as usize], at)?;
        at += step;
    }
    if from < to { file.sync_data() } else { Ok(()) }
}

/// An open file as SQLite sees it; the system's own file object follows it in the same memory.
#[repr(C, align(8))]
struct ScrubFile {
    base: ffi::sqlite3_file,
}

/// The system's file object behind one of ours.
///
/// # Safety
/// `file` must be one that [`open`] was given: SQLite reserves `szOsFile` bytes for it.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` is the sum of both objects, so the place behind ours is within the same memory.
    unsafe { file.byte_add(size_of::<ScrubFile>()) }
}

/// The layer that ours stands on.
///
/// # Safety
/// `vfs` must be the one of [`register`].
unsafe fn system(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: `register` put it there, and it is never exchanged.
    unsafe { (*vfs).pAppData.cast() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands over `szOsFile` bytes at `file`; both objects lie within them. The methods are null unless the
    // system's are there, so SQLite closes what was opened and nothing else.
    unsafe {
        let (system, real) = (system(vfs), real(file));
        (*real).pMethods = ptr::null();
        let Some(open) = (*system).xOpen else { return ffi::SQLITE_CANTOPEN };
        let answer = open(system, name, real, flags, out_flags);
        (*file).pMethods = match (*real).pMethods.as_ref() {
            None => ptr::null(),
            Some(methods) => &raw const METHODS[methods.iVersion.clamp(1, 3) as usize - 1],
        };
        answer
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite gives a C string that lives through the call.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    match overwrite(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // To keep the file would be worse: SQLite would take it for one that counts.
        Err(error) => tracing::warn!(path = %path.display(), %error, "deleted without being overwritten"),
    }
    // SAFETY: as SQLite calls it, with the layer that the function belongs to.
    unsafe {
        let system = system(vfs);
        (*system).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(system, name, sync_dir))
    }
}

#[allow(non_snake_case, reason = "the methods bear the names that SQLite gives them")]
unsafe extern "C" fn xTruncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite calls this for a file that `open` opened; `length` lives through the call.
    unsafe {
        let real = real(file);
        let Some(methods) = (*real).pMethods.as_ref() else { return ffi::SQLITE_IOERR_TRUNCATE };
        let (Some(file_size), Some(truncate)) = (methods.xFileSize, methods.xTruncate) else {
            return ffi::SQLITE_IOERR_TRUNCATE;
        };
        let mut length = 0;
        let mut answer = file_size(real, &raw mut length);
        // What is shortened by half keeps its header; what is emptied loses it first.
        let header = if size == 0 { length.min(HEADER as i64) } else { size };
        for (from, to) in [(size, header), (header, length)] {
            if answer == ffi::SQLITE_OK && from < to {
                answer = zero(real, methods, from, to);
            }
        }
        if answer == ffi::SQLITE_OK { truncate(real, size) } else { answer }
    }
}

/// Overwrites a part of an open file and waits for the disk.
///
/// # Safety
/// `real` must be an open file of the system's layer, `methods` its own.
unsafe fn zero(real: *mut ffi::sqlite3_file, methods: &ffi::sqlite3_io_methods, from: i64, to: i64) -> c_int {
    let (Some(write), Some(sync)) = (methods.xWrite, methods.xSync) else { return ffi::SQLITE_IOERR_TRUNCATE };
    let mut at = from;
    while at < to {
        let step = (to - at).min(ZEROS.len() as i64);
        // SAFETY: the caller's promise; `ZEROS` has at least `step` bytes.
        let answer = unsafe { write(real, ZEROS.as_ptr().cast(), step as c_int, at) };
        if answer != ffi::SQLITE_OK {
            return answer;
        }
        at += step;
    }
    // SAFETY: the caller's promise.
    unsafe { sync(real, ffi::SQLITE_SYNC_NORMAL | ffi::SQLITE_SYNC_DATAONLY) }
}

/// Methods of a file that do what the system's do.
macro_rules! pass_on {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[allow(non_snake_case, reason = "the methods bear the names that SQLite gives them")]
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $type)*) -> c_int {
            // SAFETY: SQLite calls this for a file that `open` opened, with arguments that the system's method takes.
            unsafe {
                let real = real(file);
                let method = (*real).pMethods.as_ref().and_then(|methods| methods.$name);
                method.map_or(ffi::SQLITE_IOERR, |method| method(real $(, $arg)*))
            }
        }
    )*};
}

pass_on! {
    xClose();
    xRead(into: *mut c_void, amount: c_int, offset: i64);
    xWrite(from: *const c_void, amount: c_int, offset: i64);
    xSync(flags: c_int);
    xFileSize(size: *mut i64);
    xLock(level: c_int);
    xUnlock(level: c_int);
    xCheckReservedLock(out: *mut c_int);
    xFileControl(op: c_int, arg: *mut c_void);
    xSectorSize();
    xDeviceCharacteristics();
    xShmMap(page: c_int, page_size: c_int, extend: c_int, out: *mut *mut c_void);
    xShmLock(offset: c_int, n: c_int, flags: c_int);
    xShmUnmap(delete: c_int);
    xFetch(offset: i64, amount: c_int, out: *mut *mut c_void);
    xUnfetch(offset: i64, page: *mut c_void);
}

#[allow(non_snake_case, reason = "the methods bear the names that SQLite gives them")]
unsafe extern "C" fn xShmBarrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite calls this for a file that `open` opened.
    unsafe {
        let real = real(file);
        if let Some(barrier) = (*real).pMethods.as_ref().and_then(|methods| methods.xShmBarrier) {
            barrier(real);
        }
    }
}

/// SQLite looks at no field that the version in front does not have; the system's version decides.
static METHODS: [ffi::sqlite3_io_methods; 3] = [methods(1), methods(2), methods(3)];

const fn methods(version: c_int) -> ffi::sqlite3_io_methods {
    ffi::sqlite3_io_methods {
        iVersion: version,
        xClose: Some(xClose),
        xRead: Some(xRead),
        xWrite: Some(xWrite),
        xTruncate: Some(xTruncate),
        xSync: Some(xSync),
        xFileSize: Some(xFileSize),
        xLock: Some(xLock),
        xUnlock: Some(xUnlock),
        xCheckReservedLock: Some(xCheckReservedLock),
        xFileControl: Some(xFileControl),
        xSectorSize: Some(xSectorSize),
        xDeviceCharacteristics: Some(xDeviceCharacteristics),
        xShmMap: Some(xShmMap),
        xShmLock: Some(xShmLock),
        xShmBarrier: Some(xShmBarrier),
        xShmUnmap: Some(xShmUnmap),
        xFetch: Some(xFetch),
        xUnfetch: Some(xUnfetch),
    }
}

/// Calls of the layer that do what the system's do.
macro_rules! pass_on_call {
    ($($name:ident as $call:ident($($arg:ident: $type:ty),*);)*) => {$(
        unsafe extern "C" fn $name(vfs: *mut ffi::sqlite3_vfs $(, $arg: $type)*) -> c_int {
            // SAFETY: as SQLite calls it, with the layer that the function belongs to.
            unsafe {
                let system = system(vfs);
                (*system).$call.map_or(ffi::SQLITE_ERROR, |call| call(system $(, $arg)*))
            }
        }
    )*};
}

pass_on_call! {
    access as xAccess(name: *const c_char, flags: c_int, out: *mut c_int);
    full_path_name as xFullPathname(name: *const c_char, room: c_int, out: *mut c_char);
    randomness as xRandomness(room: c_int, out: *mut c_char);
    sleep as xSleep(microseconds: c_int);
    current_time as xCurrentTime(out: *mut f64);
    last_error as xGetLastError(room: c_int, out: *mut c_char);
    current_time_int64 as xCurrentTimeInt64(out: *mut i64);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Step {
        Zeros(i64, i64),
        Synced,
        Cut(i64),
    }

    thread_local! {
        static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
    }

    fn note(step: Step) -> c_int {
        STEPS.with_borrow_mut(|steps| steps.push(step));
        ffi::SQLITE_OK
    }

    const LENGTH: i64 = 300_000;

    unsafe extern "C" fn size(_: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
        // SAFETY: `xTruncate` gives a place for the answer.
        unsafe { *out = LENGTH };
        ffi::SQLITE_OK
    }

    unsafe extern "C" fn write(_: *mut ffi::sqlite3_file, from: *const c_void, amount: c_int, offset: i64) -> c_int {
        // SAFETY: `amount` bytes are there to be written.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), amount as usize) };
        assert!(bytes.iter().all(|byte| *byte == 0));
        note(Step::Zeros(offset, offset + i64::from(amount)))
    }

    unsafe extern "C" fn sync(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
        note(Step::Synced)
    }

    unsafe extern "C" fn cut(_: *mut ffi::sqlite3_file, size: i64) -> c_int {
        note(Step::Cut(size))
    }

    /// What is done to a file of `LENGTH` bytes that SQLite truncates to `size`.
    fn truncated_to(size_wanted: i64) -> Vec<Step> {
        #[repr(C)]
        struct Both(ScrubFile, ffi::sqlite3_file);
        let system = ffi::sqlite3_io_methods {
            xFileSize: Some(size),
            xWrite: Some(write),
            xSync: Some(sync),
            xTruncate: Some(cut),
            ..methods(3)
        };
        let ours = ScrubFile { base: ffi::sqlite3_file { pMethods: &raw const METHODS[2] } };
        let mut both = Both(ours, ffi::sqlite3_file { pMethods: &raw const system });
        // SAFETY: both objects follow one another as in SQLite's memory, and live through the call.
        assert_eq!(unsafe { xTruncate((&raw mut both).cast(), size_wanted) }, ffi::SQLITE_OK);
        STEPS.take()
    }

    /// Half of a log after its header would be played back over a newer database.
    #[test]
    fn a_log_loses_its_header_for_good_before_anything_else() {
        let steps = truncated_to(0);
        assert_eq!(steps[..2], [Step::Zeros(0, HEADER as i64), Step::Synced]);
        assert_eq!(steps[steps.len() - 2..], [Step::Synced, Step::Cut(0)]);
        let zeros = steps.iter().filter_map(|s| if let Step::Zeros(from, to) = s { Some((*from, *to)) } else { None });
        let end = zeros.fold(0, |end, (from, to)| if from == end { to } else { panic!("a gap at {end}") });
        assert_eq!(end, LENGTH, "all of it is overwritten");
    }

    #[test]
    fn what_is_cut_off_is_overwritten_and_what_stays_is_not() {
        let last = [Step::Zeros(299_000, LENGTH), Step::Synced, Step::Cut(299_000)];
        assert_eq!(truncated_to(299_000), last);
        assert_eq!(truncated_to(LENGTH), [Step::Cut(LENGTH)]);
    }

    #[test]
    fn a_file_is_overwritten_whole_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, vec![7; 200_000]).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(overwrite(&link).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), vec![7; 200_000]);
        overwrite(&file).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), vec![0; 200_000]);
    }
}
