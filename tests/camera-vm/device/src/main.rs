//! A USB camera made of software: what the kernel's own driver takes for one, on command silent, faulty or pulled out.
//!
//! The kernel's vhci-hcd is a USB port whose cable is a socket; this program holds the other end. The messages on
//! that cable are `cable.rs`', what the camera says of itself `class.rs`', its life `device.rs`', its pictures
//! `pictures.rs`'.
//!
//! Usage: `test-camera COMMANDS`, where COMMANDS is a named pipe that is read line by line:
//! `silent` sends no more pictures, `speak` goes on, `halve N` cuts the next N pictures in half, `unplug` pulls the
//! cable out, `plug` puts it in again.

mod cable;
mod class;
mod device;
mod pictures;

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use device::Device;
use pictures::Pictures;

fn main() -> ExitCode {
    let Some(commands) = std::env::args().nth(1) else {
        eprintln!("usage: test-camera COMMANDS");
        return ExitCode::FAILURE;
    };
    match run(&commands) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-camera: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(commands: &str) -> io::Result<()> {
    let pictures = Arc::new(Pictures::default());
    let mut plugged = Some(plug(&pictures)?);
    // Also for writing, though nothing is written: so the pipe does not end each time a writer closes it.
    let commands = OpenOptions::new().read(true).write(true).open(commands)?;
    for line in BufReader::new(commands).lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        match (words.next(), &plugged) {
            (Some("silent"), Some(device)) => device.set_silent(true),
            (Some("speak"), Some(device)) => device.set_silent(false),
            (Some("halve"), Some(device)) => device.halve(words.next().and_then(|n| n.parse().ok()).unwrap_or(1)),
            (Some("unplug"), Some(device)) => {
                device.unplug();
                plugged = None;
            }
            (Some("plug"), None) => plugged = Some(plug(&pictures)?),
            _ => {}
        }
    }
    Ok(())
}

/// Puts the cable into the kernel's first port.
fn plug(pictures: &Arc<Pictures>) -> io::Result<Arc<Device>> {
    const PORT: &str = "/sys/devices/platform/vhci_hcd.0/attach";
    // Port, the socket's number, any bus and device number, and 3 for high speed (480 Mbit/s).
    const BUS_AND_DEVICE: u32 = 1 << 16 | 1;
    const HIGH_SPEED: u32 = 3;
    let (ours, kernels) = UnixStream::pair()?;
    let device = Device::start(ours, Arc::clone(pictures))?;
    let line = format!("0 {} {BUS_AND_DEVICE} {HIGH_SPEED}", kernels.as_raw_fd());
    // The port is busy until the kernel has done with the camera that was in it before.
    let mut tries = 0;
    while let Err(error) = fs::write(PORT, &line) {
        tries += 1;
        if tries == 100 {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(device)
}
