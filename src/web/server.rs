//! The accept loop: HTTP/1.1 only, with a bound on connections and on how long each may dawdle.
//!
//! What is served is `super::routes`'s. axum's own `serve` has neither a header time-out nor a bound.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Limits, WebError};
use crate::shutdown::Shutdown;

/// How long running requests may take after the stop was asked.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a connection that was just made may still bring its first request after the stop was asked: its peer cannot
/// know, and would be refused in the middle of a change of configuration.
const FIRST_WORDS: Duration = Duration::from_millis(500);
/// A peer that acknowledges nothing for so long is gone: a screen whose cable was pulled must not hold a place.
const PEER_SILENCE: Duration = Duration::from_secs(30);
/// Failed accepts in a row, a second apart, after which the trouble will not pass by itself.
const ACCEPT_ATTEMPTS: u32 = 30;

pub async fn run(listener: TcpListener, router: Router, limits: Limits, shutdown: Shutdown) -> Result<(), WebError> {
    let door = Door::new(limits);
    let mut open = JoinSet::new();
    let mut failed = 0;
    let mut stop = pin!(shutdown.clone().asked());
    let outcome = loop {
        let accepted = tokio::select! {
            () = &mut stop => break Ok(()),
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failed = 0;
                // A refused connection is simply closed: an answer would cost what is lacking.
                if let Some(place) = door.enter(peer) {
                    open.spawn(connection(stream, router.clone(), limits, shutdown.clone(), place));
                }
            }
            Err(error) if is_peers_own(&error) => {}
            Err(error) => {
                failed += 1;
                tracing::warn!(%error, failed, "web: cannot accept a connection");
                if failed >= ACCEPT_ATTEMPTS {
                    break Err(WebError::Accept(error));
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    drop(listener);
    let all_done = async { while open.join_next().await.is_some() {} };
    // What is left after that is dropped with the set.
    let _ = tokio::time::timeout(LAST_WORDS, all_done).await;
    outcome
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, shutdown: Shutdown, _place: Place) {
    // Both only make a dead or slow peer cheaper; the connection works without them.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(PEER_SILENCE));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_read).max_headers(64).max_buf_size(64 * 1024);
    let (heard, mut hearing) = watch::channel(false);
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        heard.send_replace(true);
        routes.call(request)
    });
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut closing = pin!(async move {
        shutdown.asked().await;
        // Silence for so long is an answer too.
        let _ = tokio::time::timeout(FIRST_WORDS, hearing.wait_for(|heard| *heard)).await;
    });
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "web: a connection ended badly");
                }
                return;
            }
            () = &mut closing, if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

fn is_peers_own(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Counts who is inside.
#[derive(Clone)]
struct Door {
    inside: Arc<Mutex<HashMap<IpAddr, usize>>>,
    limits: Limits,
}

impl Door {
    fn new(limits: Limits) -> Self {
        Self { inside: Arc::default(), limits }
    }

    fn enter(&self, peer: SocketAddr) -> Option<Place> {
        let address = peer.ip().to_canonical();
        let mut inside = self.lock();
        let all: usize = inside.values().sum();
        let own = inside.get(&address).copied().unwrap_or(0);
        if all >= self.limits.connections || own >= self.limits.connections_per_address {
            return None;
        }
        inside.insert(address, own + 1);
        Some(Place { door: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place, given back when it is dropped.
struct Place {
    door: Door,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        if let Some(own) = inside.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                inside.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 168, 1, last], 40_000))
    }

    #[test]
    fn one_address_cannot_shut_out_the_rest() {
        let door = Door::new(Limits { connections: 5, connections_per_address: 2, ..Limits::default() });
        let greedy: Vec<_> = (0..4).filter_map(|_| door.enter(peer(1))).collect();
        assert_eq!(greedy.len(), 2);
        assert!(door.enter(peer(2)).is_some());
    }

    #[test]
    fn place_is_given_back_when_the_connection_ends() {
        let door = Door::new(Limits { connections: 1, connections_per_address: 1, ..Limits::default() });
        let place = door.enter(peer(1));
        assert!(door.enter(peer(2)).is_none());
        drop(place);
        assert!(door.enter(peer(2)).is_some());
        assert!(door.lock().is_empty());
    }

    #[tokio::test]
    async fn a_connection_made_just_before_the_stop_gets_its_answer() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut asker = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (accepted, peer) = listener.accept().await.expect("it is accepted");
        let (stop, stopped) = crate::shutdown::channel();
        stop.stop();
        let limits = Limits::default();
        let place = Door::new(limits).enter(peer).expect("a place");
        let router = Router::new().fallback(async || "here");
        let serving = tokio::spawn(connection(accepted, router, limits, stopped, place));
        // It hears of the stop before it hears of the request.
        tokio::task::yield_now().await;
        asker.write_all(b"GET / HTTP/1.1\r\nhost: box\r\n\r\n").await.expect("it is sent");
        let mut answer = String::new();
        asker.read_to_string(&mut answer).await.expect("it is answered and closed");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
        serving.await.expect("it ended");
    }
}
