//! The loop of a session.

use tokio_util::sync::CancellationToken;

use super::{AgentDeps, SessionEnd, SessionInput};

#[allow(clippy::unused_async)] // the loop follows
pub(super) async fn run(_deps: AgentDeps, _input: SessionInput, _cancel: CancellationToken) -> SessionEnd {
    SessionEnd::Failed { reason: "NotBuilt".to_owned(), message: "the loop is not built yet".to_owned() }
}
