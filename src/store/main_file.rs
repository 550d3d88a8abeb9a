//! The database file of an open connection, byte for byte, by SQLite's own handle.
//!
//! To open and close the file beside the connection would drop its locks (fcntl(2)).

use std::ffi::c_int;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::ptr;

use rusqlite::{Connection, ffi};

/// The open file, for as long as the connection is borrowed.
pub(super) struct MainFile<'a> {
    file: *mut ffi::sqlite3_file,
    methods: &'a ffi::sqlite3_io_methods,
    connection: PhantomData<&'a Connection>,
}

const MISSING: &str = "SQLite's file layer lacks a method";

fn check(code: c_int) -> io::Result<()> {
    match code {
        ffi::SQLITE_OK => Ok(()),
        ffi::SQLITE_FULL => Err(io::ErrorKind::StorageFull.into()),
        code => Err(io::Error::other(format!("SQLite's file layer failed ({code})"))),
    }
}

impl<'a> MainFile<'a> {
    pub fn of(connection: &'a Connection) -> io::Result<Self> {
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        // SAFETY: the handle is valid while `connection` is borrowed; with this option SQLite writes the pointer to its open
        // file of "main". The file and its methods live as long as the connection.
        unsafe {
            let (handle, main) = (connection.handle(), c"main".as_ptr());
            let into = (&raw mut file).cast();
            check(ffi::sqlite3_file_control(handle, main, ffi::SQLITE_FCNTL_FILE_POINTER, into))?;
            let methods = file.as_ref().and_then(|file| file.pMethods.as_ref());
            let methods = methods.ok_or_else(|| io::Error::other(MISSING))?;
            Ok(Self { file, methods, connection: PhantomData })
        }
    }

    pub fn length(&self) -> io::Result<u64> {
        let size = self.methods.xFileSize.ok_or_else(|| io::Error::other(MISSING))?;
        let mut length = 0;
        // SAFETY: the file is open; `length` lives through the call.
        check(unsafe { size(self.file, &raw mut length) })?;
        u64::try_from(length).map_err(io::Error::other)
    }

    /// Fills `into`; what lies behind the file's end is zeros.
    pub fn read(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let read = self.methods.xRead.ok_or_else(|| io::Error::other(MISSING))?;
        let amount = c_int::try_from(into.len()).map_err(io::Error::other)?;
        // SAFETY: the file is open; `into` has `amount` bytes.
        match unsafe { read(self.file, into.as_mut_ptr().cast(), amount, at as i64) } {
            ffi::SQLITE_IOERR_SHORT_READ => Ok(()),
            code => check(code),
        }
    }

    pub fn zero(&self, at: u64, length: usize) -> io::Result<()> {
        let write = self.methods.xWrite.ok_or_else(|| io::Error::other(MISSING))?;
        let zeros = vec![0_u8; length];
        let amount = c_int::try_from(length).map_err(io::Error::other)?;
        // SAFETY: the file is open; `zeros` has `amount` bytes.
        check(unsafe { write(self.file, zeros.as_ptr().cast(), amount, at as i64) })
    }

    pub fn sync(&self) -> io::Result<()> {
        let sync = self.methods.xSync.ok_or_else(|| io::Error::other(MISSING))?;
        // SAFETY: the file is open.
        check(unsafe { sync(self.file, ffi::SQLITE_SYNC_NORMAL) })
    }

    pub fn copy_to(&self, into: &mut impl Write) -> io::Result<()> {
        let length = self.length()?;
        let mut block = vec![0; 1 << 16];
        let mut at = 0;
        while at < length {
            let step = usize::try_from(length - at).map_or(block.len(), |left| left.min(block.len()));
            self.read(&mut block[..step], at)?;
            into.write_all(&block[..step])?;
            at += step as u64;
        }
        Ok(())
    }
}
