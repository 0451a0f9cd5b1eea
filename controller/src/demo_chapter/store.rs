//! Where demos are put on record: what happened is there before it happens.
//!
//! The real one is a part of the audit store's database, `PostgresStore`, with its fence: who does not lead writes
//! nothing. [`fake`] has it in memory.

pub mod fake;

use async_trait::async_trait;
use crds::demo_chapter::ActionState;
use jiff::Timestamp;

use super::record::{ActId, DemoRef, How, NewAct, NewTurn, Record};
use crate::audit::AuditError;
use crate::fault::Key;

/// Keeps what demos do. Every call is bounded in time, and what it returned `Ok` for is committed.
#[async_trait]
pub trait DemoStore: Send + Sync + 'static {
    /// What is on record of a demo.
    async fn record(&self, demo: &DemoRef) -> Result<Record, AuditError>;

    /// The demos that are not at their beginning.
    async fn live(&self) -> Result<Vec<DemoRef>, AuditError>;

    /// The helpers of a project that may still be asked for, whichever demo's they are.
    async fn kept(&self, project: &str) -> Result<Vec<Key>, AuditError>;

    /// Begins a turn; the one that is there already is taken. Its number.
    async fn begin_turn(&self, turn: &NewTurn) -> Result<i64, AuditError>;

    /// Ends a turn. One that has ended stays as it is.
    async fn end_turn(&self, turn: i64, how: How, message: Option<&str>, at: Timestamp) -> Result<(), AuditError>;

    /// Puts on record that something is about to be done. False if that stands there already: it may have been done.
    async fn begin_act(&self, act: &NewAct) -> Result<bool, AuditError>;

    /// Puts on record what came of it.
    async fn end_act(
        &self,
        act: &ActId,
        state: ActionState,
        message: Option<&str>,
        at: Timestamp,
    ) -> Result<(), AuditError>;

    /// Puts on record that it is about to be taken back for a turn.
    async fn begin_undo(&self, act: &ActId, turn: i64, at: Timestamp) -> Result<(), AuditError>;

    /// Puts on record that it is taken back, or why it cannot be.
    async fn end_undo(&self, act: &ActId, error: Option<&str>, at: Timestamp) -> Result<(), AuditError>;
}
