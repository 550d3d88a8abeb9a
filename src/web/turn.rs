//! Questions to the store: off the runtime's threads, one after the other, and with an end to the patience.
//!
//! What is asked is each route's own.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::Mutex;

use super::error::Problem;

/// A store that does not answer for so long is a trouble of its own.
const PATIENCE: Duration = Duration::from_secs(3);

/// The right to ask: a stuck disk must not eat a thread for each request.
pub type Turn = Arc<Mutex<()>>;

/// Does `work`, which may block, when it is its turn. After an error it may still be done.
pub async fn in_turn<T: Send + 'static>(turn: &Turn, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let asked = async {
        let turn = Arc::clone(turn).lock_owned().await;
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.ok()
    };
    tokio::time::timeout(PATIENCE, asked).await.ok().flatten().ok_or_else(|| {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "store_silent", "the store did not answer in time; see the log")
    })
}
