//! A network line between a screen and its box that a test can cut without either end being told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub struct Line {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: Mutex<bool>,
    mended: Condvar,
}

impl Line {
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let seen = state.clone();
        thread::Builder::new()
            .name("line".to_owned())
            .spawn(move || {
                for near in listener.incoming().map_while(Result::ok) {
                    let Ok(far) = TcpStream::connect(target) else { continue };
                    carry(near.try_clone().unwrap(), far.try_clone().unwrap(), seen.clone());
                    carry(far, near, seen.clone());
                }
            })
            .unwrap();
        Self { address, state }
    }

    /// While cut, bytes vanish and no connection is closed: a pulled cable, a sleeping access point.
    pub fn cut(&self, cut: bool) {
        *self.state.cut.lock().unwrap() = cut;
        self.state.mended.notify_all();
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: Arc<State>) {
    let work = move || {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            let cut = state.cut.lock().unwrap();
            if *cut {
                // What was lost once makes the rest of this connection useless: hold it silently until the end.
                drop(state.mended.wait_while(cut, |cut| *cut).unwrap());
                break;
            }
            drop(cut);
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    };
    thread::Builder::new().name("line".to_owned()).spawn(work).unwrap();
}
