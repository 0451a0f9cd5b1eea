//! Where a session's container comes from: the provider, asked for what the session was given.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};

use super::SessionView;
use super::ledger::SessionLedger;
use crate::agent::{SandboxSource, Wanted};
use crate::context::Context;
use crate::sandbox::{Sandbox, SandboxError, SandboxPlan, SandboxRequest};

/// Makes the session's container and shows what comes of it.
pub(super) struct Source {
    pub(super) context: Arc<Context>,
    pub(super) request: SandboxRequest,
    /// What was found on the engine a moment ago; taken by the first try.
    pub(super) plan: Mutex<Option<SandboxPlan>>,
    pub(super) view: watch::Sender<SessionView>,
    pub(super) ledger: Arc<SessionLedger>,
}

#[async_trait]
impl SandboxSource for Source {
    async fn open(&self, wanted: Wanted) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let made = self.make(wanted).await;
        self.view.send_modify(|view| match &made {
            Ok(sandbox) => {
                view.container = Some(sandbox.name().to_owned());
                view.sandbox_trouble = None;
            }
            Err(error) => {
                view.container = None;
                view.sandbox_trouble = Some((error.category(), crate::error::chain(error)));
            }
        });
        made
    }

    async fn settle(&self) {
        self.ledger.settle("the session ended before it was heard of again").await;
    }
}

impl Source {
    async fn make(&self, wanted: Wanted) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let sandboxes = &self.context.sandboxes;
        if wanted == Wanted::Fresh {
            sandboxes.remove(&self.request.session).await?;
            self.ledger.settle("its gateway was removed with the agent's container, which was lost").await;
        }
        // The subject's networks may have changed since an earlier try.
        let plan = match self.plan.lock().await.take() {
            Some(plan) => plan,
            None => sandboxes.preflight(&self.request).await?,
        };
        sandboxes.create(&plan, self.ledger.clone()).await
    }
}
