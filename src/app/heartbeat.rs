//! What the centre is told of this box: its cameras and its outbox.
//!
//! Where that is sent is `crate::crm`'s, when is `crate::sync`'s.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::visits::CameraStates;
use crate::camera::CameraState;
use crate::clock::Clock;
use crate::crm::Heartbeat;
use crate::store::Store;

/// The cameras as they are now; a reload may exchange them.
#[derive(Clone, Default)]
pub(super) struct CameraBoard(Arc<Mutex<Vec<(String, watch::Receiver<CameraState>)>>>);

impl CameraBoard {
    pub fn show(&self, cameras: &CameraStates) {
        let cameras = cameras.iter().map(|(_, id, state)| (id.to_string(), state.clone())).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cameras;
    }

    fn seeing(&self) -> Vec<(String, bool)> {
        let sees = |state: &CameraState| matches!(state, CameraState::Live | CameraState::Ended);
        let cameras = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.iter().map(|(name, state)| (name.clone(), sees(&state.borrow()))).collect()
    }
}

pub(super) fn heartbeat(
    device: &str,
    store: &Arc<Store>,
    clock: &Arc<dyn Clock>,
    cameras: &CameraBoard,
) -> Arc<dyn Fn() -> Heartbeat + Send + Sync> {
    let (store, clock, device, cameras) = (Arc::clone(store), Arc::clone(clock), device.to_owned(), cameras.clone());
    Arc::new(move || {
        let outbox = store.outbox_status().unwrap_or_default();
        let at = clock.wall();
        Heartbeat {
            device: device.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at,
            cameras: cameras.seeing(),
            outbox_depth: outbox.depth,
            outbox_oldest: outbox
                .oldest_created_at
                .and_then(|oldest| Duration::try_from(at.at.duration_since(oldest)).ok()),
            outbox_dead: outbox.dead,
        }
    })
}
