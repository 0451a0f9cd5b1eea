//! Short summaries of entries by the small model, off the critical path.

use std::sync::Arc;

use crate::audit::AuditStore;
use crate::model::Model;

/// The small model and where its words go.
#[derive(Clone)]
pub struct Summariser {
    /// The model.
    pub model: Arc<dyn Model>,
    /// Its name.
    pub name: String,
    /// Where the summaries are kept.
    pub store: Arc<dyn AuditStore>,
}
