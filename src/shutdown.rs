//! One stop signal that every thread can look at and every task can wait for.
//!
//! The order in which parts stop is not here: that is the composition root's.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Asks for the stop. Keep it in the composition root.
#[derive(Clone)]
pub struct Stopper(Arc<watch::Sender<bool>>);

/// Sees the stop. Clone one into each thread or task.
#[derive(Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A fresh pair; nothing has been asked yet.
pub fn channel() -> (Stopper, Shutdown) {
    let (asked, seen) = watch::channel(false);
    (Stopper(Arc::new(asked)), Shutdown(seen))
}

impl Stopper {
    /// Asks everyone to stop. Asking twice is asking once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether the stop was asked (or its owner is gone, which means the same).
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Completes when the stop is asked.
    pub async fn asked(mut self) {
        // An error means the owner is gone: that is a stop too.
        let _ = self.0.wait_for(|asked| *asked).await;
    }

    /// Sleeps up to `limit` on a plain thread, waking early for the stop; true if it was asked.
    pub fn wait_for(&self, limit: Duration) -> bool {
        const SLICE: Duration = Duration::from_millis(20);
        let mut left = limit;
        while !self.is_asked() && !left.is_zero() {
            let nap = left.min(SLICE);
            std::thread::sleep(nap);
            left -= nap;
        }
        self.is_asked()
    }
}
