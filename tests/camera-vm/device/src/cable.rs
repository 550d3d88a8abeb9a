//! The messages of a USB cable that is a socket, as the kernel documents them in `usb/usbip_protocol`.
//!
//! What is answered is not here: see `device.rs`.

use std::io::{self, Read, Write};

/// All numbers are big-endian; every message begins with 48 bytes.
const HEADER: usize = 48;

const SUBMIT: u32 = 1;
const UNLINK: u32 = 2;
const ANSWER_TO_SUBMIT: u32 = 3;
const ANSWER_TO_UNLINK: u32 = 4;

/// Something the kernel wants; `number` names it in the answer.
pub enum Request {
    Transfer {
        number: u32,
        endpoint: u32,
        /// The eight bytes that a request to endpoint 0 begins with.
        setup: [u8; 8],
        /// How many bytes may come back, or came.
        length: usize,
        /// What came; nothing where bytes are wanted from us.
        sent: Vec<u8>,
        wants_bytes: bool,
    },
    Cancel {
        number: u32,
        cancelled: u32,
    },
}

/// Waits for a request; an error is the end of the cable.
pub fn read(from: &mut impl Read) -> io::Result<Request> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header)?;
    let field =
        |at: usize| u32::from_be_bytes([header[4 * at], header[4 * at + 1], header[4 * at + 2], header[4 * at + 3]]);
    let number = field(1);
    match field(0) {
        SUBMIT => {
            let wants_bytes = field(3) == 1;
            let length = field(6) as usize;
            let mut sent = vec![0; if wants_bytes { 0 } else { length }];
            from.read_exact(&mut sent)?;
            let mut setup = [0; 8];
            setup.copy_from_slice(&header[40..]);
            Ok(Request::Transfer { number, endpoint: field(4), setup, length, sent, wants_bytes })
        }
        UNLINK => Ok(Request::Cancel { number, cancelled: field(5) }),
        other => Err(io::Error::other(format!("an unknown message {other}"))),
    }
}

/// How a transfer went.
pub enum Outcome<'a> {
    Bytes(&'a [u8]),
    Taken(usize),
    /// The endpoint does not know the request.
    Refused,
}

pub fn answer(to: &mut impl Write, number: u32, outcome: &Outcome<'_>) -> io::Result<()> {
    const EPIPE: i32 = 32;
    let (status, length, bytes): (i32, usize, &[u8]) = match outcome {
        Outcome::Bytes(bytes) => (0, bytes.len(), bytes),
        Outcome::Taken(length) => (0, *length, &[]),
        Outcome::Refused => (-EPIPE, 0, &[]),
    };
    send(to, ANSWER_TO_SUBMIT, number, status, length as u32, bytes)
}

/// Answers a request to cancel: whether the transfer was still waiting.
pub fn answer_cancel(to: &mut impl Write, number: u32, was_waiting: bool) -> io::Result<()> {
    const ECONNRESET: i32 = 104;
    send(to, ANSWER_TO_UNLINK, number, if was_waiting { -ECONNRESET } else { 0 }, 0, &[])
}

fn send(to: &mut impl Write, kind: u32, number: u32, status: i32, length: u32, bytes: &[u8]) -> io::Result<()> {
    let mut message = Vec::with_capacity(HEADER + bytes.len());
    for field in [kind, number, 0, 0, 0, status.cast_unsigned(), length] {
        message.extend(field.to_be_bytes());
    }
    message.resize(HEADER, 0);
    message.extend(bytes);
    to.write_all(&message)
}
