//! SQLite's memory: what it frees is wiped, so that no page of an erased customer lingers in the process.
//!
//! The rest of the process's memory is `crate::memory`'s.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi;

/// SQLite's own memory calls, on which ours stand.
#[derive(Clone, Copy)]
struct Own {
    malloc: unsafe extern "C" fn(c_int) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    size: unsafe extern "C" fn(*mut c_void) -> c_int,
}

static OWN: OnceLock<Own> = OnceLock::new();

/// Puts the wiping between SQLite and its memory; only before SQLite has been used, later it refuses.
pub(super) fn wipe_what_is_freed() {
    // SAFETY: both options take a pointer to a `sqlite3_mem_methods`, which SQLite fills or copies; all functions in ours have
    // the types that SQLite states, and what either set allocates the other may free: ours allocate by SQLite's own.
    unsafe {
        let mut methods: ffi::sqlite3_mem_methods = std::mem::zeroed();
        if ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods) != ffi::SQLITE_OK {
            tracing::debug!("SQLite was in use before: what it frees is not wiped");
            return;
        }
        let (Some(malloc), Some(free), Some(size)) = (methods.xMalloc, methods.xFree, methods.xSize) else { return };
        OWN.get_or_init(|| Own { malloc, free, size });
        methods.xFree = Some(wiping_free);
        methods.xRealloc = Some(wiping_realloc);
        if ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw mut methods) != ffi::SQLITE_OK {
            tracing::debug!("SQLite keeps its own memory calls: what it frees is not wiped");
        }
        // No stock of pages that are given out again and again without being freed.
        ffi::sqlite3_config(ffi::SQLITE_CONFIG_PAGECACHE, ptr::null_mut::<c_void>(), 0 as c_int, 0 as c_int);
    }
}

unsafe extern "C" fn wiping_free(block: *mut c_void) {
    let Some(own) = OWN.get().filter(|_| !block.is_null()) else { return };
    // SAFETY: SQLite gives back a block of its allocator, which has as many bytes as that says.
    unsafe {
        libc::explicit_bzero(block, usize::try_from((own.size)(block)).unwrap_or(0));
        (own.free)(block);
    }
}

unsafe extern "C" fn wiping_realloc(block: *mut c_void, wanted: c_int) -> *mut c_void {
    let Some(own) = OWN.get() else { return ptr::null_mut() };
    // SAFETY: `block` is null or of SQLite's allocator; as many bytes are copied as both have. The old block is freed only where
    // there is a new one, as realloc(3) does.
    unsafe {
        let new = (own.malloc)(wanted);
        if !new.is_null() && !block.is_null() {
            let kept = (own.size)(block).min(wanted);
            ptr::copy_nonoverlapping(block.cast::<u8>(), new.cast(), usize::try_from(kept).unwrap_or(0));
            wiping_free(block);
        }
        new
    }
}
