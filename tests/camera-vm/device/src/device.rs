//! The camera's life on the cable: one thread answers the kernel, one sends pictures while they are wanted.
//!
//! What is answered to which request is not here: see `class.rs`.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crate::cable::{self, Outcome, Request};
use crate::class::{self, Agreed, Answer, TRANSFER};
use crate::pictures::Pictures;

/// A camera that is plugged in.
pub struct Device {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Written to under the lock only: the kernel drops a camera that answers a transfer after its cancelling.
    cable: UnixStream,
    agreed: Agreed,
    /// What is being sent, with a number that changes with every start; nothing while nobody wants pictures.
    streaming: Option<(Agreed, u64)>,
    starts: u64,
    /// Transfers that wait for a piece of picture: number and most bytes.
    waiting: VecDeque<(u32, usize)>,
    last_transfer: u32,
    /// Cancelled before they came, with the number of the cancelling: the kernel's threads overtake each other.
    cancelled_early: HashMap<u32, u32>,
    silent: bool,
    /// Pictures still to be cut in half.
    halves: u32,
    gone: bool,
}

impl Device {
    pub fn start(cable: UnixStream, pictures: Arc<Pictures>) -> io::Result<Arc<Self>> {
        let mut from = cable.try_clone()?;
        let state = State {
            cable,
            agreed: Agreed::default(),
            streaming: None,
            starts: 0,
            waiting: VecDeque::new(),
            last_transfer: 0,
            cancelled_early: HashMap::new(),
            silent: false,
            halves: 0,
            gone: false,
        };
        let device = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
        let (answering, sending) = (Arc::clone(&device), Arc::clone(&device));
        Builder::new().name("answer".into()).spawn(move || {
            while let Ok(request) = cable::read(&mut from) {
                if answering.answer(request).is_err() {
                    break;
                }
            }
            answering.change(|state| state.gone = true);
        })?;
        Builder::new().name("send".into()).spawn(move || while sending.send_next(&pictures) {})?;
        Ok(device)
    }

    pub fn set_silent(&self, silent: bool) {
        self.change(|state| state.silent = silent);
    }

    pub fn halve(&self, pictures: u32) {
        self.change(|state| state.halves = pictures);
    }

    pub fn unplug(&self) {
        // An error means that it is unplugged already.
        self.change(|state| drop(state.cable.shutdown(Shutdown::Both)));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let answer = change(&mut self.lock());
        self.changed.notify_all();
        answer
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.lock(), |state| !state.gone && condition(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: Request) -> io::Result<()> {
        self.change(|state| match request {
            Request::Transfer { number, endpoint, setup, length, sent, wants_bytes } => {
                state.last_transfer = number;
                if let Some(cancelling) = state.cancelled_early.remove(&number) {
                    return cable::answer_cancel(&mut state.cable, cancelling, true);
                }
                if endpoint != 0 {
                    state.waiting.push_back((number, length));
                    return Ok(());
                }
                let taken = if wants_bytes { 0 } else { length };
                let outcome = match class::control(setup, &sent, &mut state.agreed) {
                    Answer::Bytes(bytes) => {
                        return cable::answer(
                            &mut state.cable,
                            number,
                            &Outcome::Bytes(&bytes[..length.min(bytes.len())]),
                        );
                    }
                    Answer::Start(agreed) => {
                        state.starts += 1;
                        state.streaming = Some((agreed, state.starts));
                        Outcome::Taken(taken)
                    }
                    Answer::Stop => {
                        state.streaming = None;
                        Outcome::Taken(taken)
                    }
                    Answer::Done => Outcome::Taken(taken),
                    Answer::Unknown => Outcome::Refused,
                };
                cable::answer(&mut state.cable, number, &outcome)
            }
            Request::Cancel { number, cancelled } => {
                if cancelled > state.last_transfer {
                    state.cancelled_early.insert(cancelled, number);
                    return Ok(());
                }
                let before = state.waiting.len();
                state.waiting.retain(|(waiting, _)| *waiting != cancelled);
                let was_waiting = state.waiting.len() < before;
                cable::answer_cancel(&mut state.cable, number, was_waiting)
            }
        })
    }

    /// Sends pictures from one start to the stop after it; false when the camera is gone.
    #[expect(clippy::disallowed_methods, reason = "a camera has a clock of its own")]
    fn send_next(&self, pictures: &Pictures) -> bool {
        let stream = {
            let state = self.wait_while(|state| state.streaming.is_none());
            if state.gone {
                return false;
            }
            state.streaming
        };
        let Some((agreed, _)) = stream else { return true };
        let interval = Duration::from_nanos(u64::from(agreed.interval()) * 100);
        let mut due = Instant::now();
        for number in 0_u32.. {
            let picture = pictures.get(agreed.kind(), agreed.size(), number);
            let now = Instant::now();
            thread::sleep(due.saturating_duration_since(now));
            // What could not be sent in time is left out, as a real camera does.
            due = due.max(now) + interval;
            let half = {
                let mut state = self.wait_while(|state| state.silent && state.streaming == stream);
                let half = state.halves > 0;
                state.halves -= u32::from(half);
                half
            };
            let length = if half { picture.len() / 2 } else { picture.len() };
            if !self.send(&picture[..length], number % 2 == 1, stream) {
                break;
            }
        }
        !self.lock().gone
    }

    /// Sends one picture in pieces; false when it is not wanted any more.
    fn send(&self, picture: &[u8], odd: bool, stream: Option<(Agreed, u64)>) -> bool {
        // Each piece begins with two bytes: their number, and what the piece is.
        const HEAD: usize = 2;
        const LAST: u8 = 0x02;
        const ALWAYS: u8 = 0x80;
        let mut pieces = picture.chunks(TRANSFER - HEAD).peekable();
        while let Some(piece) = pieces.next() {
            let about = ALWAYS | u8::from(odd) | if pieces.peek().is_none() { LAST } else { 0 };
            let message = [&[HEAD as u8, about], piece].concat();
            let mut state = self.wait_while(|state| state.waiting.is_empty() && state.streaming == stream);
            if state.gone || state.streaming != stream {
                return false;
            }
            let Some((number, most)) = state.waiting.pop_front() else { return false };
            let bytes = &message[..message.len().min(most)];
            if cable::answer(&mut state.cable, number, &Outcome::Bytes(bytes)).is_err() {
                return false;
            }
        }
        true
    }
}
