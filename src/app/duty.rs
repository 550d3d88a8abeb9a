//! Whether every part is at work: a thread that ends without having been asked to fails the service.
//!
//! What the service does then is `super`'s; that it is started again is the supervisor of services' (systemd).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::shutdown::{self, Shutdown, Stopper};

/// Raised by a thread that ends without having been asked to.
#[derive(Clone)]
pub(super) struct Failure {
    raised: Arc<AtomicBool>,
    stopper: Stopper,
}

/// Held by a thread while it works; a panic drops it too.
pub(super) struct OnDuty {
    failure: Failure,
    /// The stop of a part without which the service has lost its purpose.
    until: Option<Shutdown>,
}

impl Failure {
    /// With what completes when a part has failed.
    pub fn new() -> (Self, Shutdown) {
        let (stopper, asked) = shutdown::channel();
        (Self { raised: Arc::default(), stopper }, asked)
    }

    /// The service cannot go on.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.stopper.stop();
    }

    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// For a part that may end once its stop was asked.
    pub fn on_duty(&self, until: &Shutdown) -> OnDuty {
        OnDuty { failure: self.clone(), until: Some(until.clone()) }
    }

    /// For a thread that may end by itself.
    pub fn only_panics(&self) -> OnDuty {
        OnDuty { failure: self.clone(), until: None }
    }
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        if panics {
            self.failure.raised.store(true, Ordering::Release);
        }
        // A part that is gone leaves the service without its purpose: let the supervisor of services restart it.
        if panics || self.until.as_ref().is_some_and(|until| !until.is_asked()) {
            self.failure.stopper.stop();
        }
    }
}

pub(super) fn spawn<T: Send + 'static>(
    name: &str,
    duty: OnDuty,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<std::thread::JoinHandle<T>> {
    let run = move || {
        let _duty = duty;
        work()
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).with_context(|| format!("no thread for {name}"))
}
