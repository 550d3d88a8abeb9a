//! Waiting between requests, as a thing that a test can make pass at once.
//!
//! How long to wait is `http`'s and `crate::sync`'s.

use std::time::Duration;

use async_trait::async_trait;

/// Two implementations: [`SystemTimer`], and the tests' own, which moves a simulated clock instead.
#[async_trait]
pub trait Timer: Send + Sync {
    async fn wait(&self, time: Duration);
}

/// Time as it passes.
pub struct SystemTimer;

#[async_trait]
impl Timer for SystemTimer {
    async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
