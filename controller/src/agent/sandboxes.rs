//! Where the session's container comes from.

use std::sync::Arc;

use async_trait::async_trait;

use crate::sandbox::{Sandbox, SandboxError};

/// Which container is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one that stands there is taken over; if there is none, one is made.
    Standing,
    /// The one before was lost and must not be taken over.
    Fresh,
}

/// Makes the container of one session.
#[async_trait]
pub trait SandboxSource: Send + Sync + 'static {
    /// Makes the container, or takes over the one that stands there. The loop asks again after a transient
    /// error, with a pause, until the session's wall time is over; dropping the future is how it gives up.
    async fn open(&self, wanted: Wanted) -> Result<Arc<dyn Sandbox>, SandboxError>;

    /// Nothing of the subject is changed any more: what was begun and never heard of again goes on record as
    /// such. Called once, before the session's last entry, and bounded in time.
    async fn settle(&self) {}
}
