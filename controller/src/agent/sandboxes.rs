//! Where the session's container comes from.

use std::sync::Arc;

use async_trait::async_trait;

use crate::sandbox::{Sandbox, SandboxError};

/// Makes the container of one session.
#[async_trait]
pub trait SandboxSource: Send + Sync + 'static {
    /// Makes the container, or takes over the one that stands there. `replacement` is 0 for the
    /// first; from 1 on the one before was lost and must not be taken over. The loop asks again
    /// after a transient error, with a pause, until the session's wall time is over; dropping the
    /// future is how it gives up.
    async fn open(&self, replacement: u32) -> Result<Arc<dyn Sandbox>, SandboxError>;
}
