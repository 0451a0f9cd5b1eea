//! A session that an earlier controller left, gone on with.
//!
//! Everything that it needs stands in its entries: what it was given, in the first; how far it is, in all of them.
//! So it goes on whatever became of its Subject, its Incident or this version's defaults meanwhile. A session that
//! cannot be gone on with ends `Failed`, with a sentence and on record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::engine::Seat;
use super::execs::Changes;
use super::task::{Bench, Work, failed, finish, show, start, wait};
use super::view::End;
use crate::agent::{self, Left, SessionEnd};
use crate::audit::entry::{ChangeEntry, ChangeResult, CompletedChange, ControlEntry, ControlEvent};
use crate::audit::{AuditError, AuditStore, EntryBody, EntryKind, Recorder, SessionRecord, StoredEntry, reader};
use crate::context::Context;
use crate::sandbox::{SandboxPlan, SandboxRequest};

/// How long the last words of a session that cannot be gone on with wait for the audit store.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Goes on with a session, to its end. `fallback` is what its Incident asks for now: for a session whose row stands
/// and that never began, and for one of a version that did not freeze the container that it asked for.
pub(super) async fn go_on(context: &Arc<Context>, record: &SessionRecord, fallback: Option<Work>, seat: &Seat) -> End {
    show(&seat.view, record);
    if let Some(end) = End::from_record(record) {
        return end;
    }
    let entries = match read(&*context.audit, record, seat).await {
        Ok(entries) => entries,
        Err(end) => return end,
    };
    let mut record = record.clone();
    record.state.last_seq = entries.last().map_or(0, |entry| entry.seq);
    let fallback = fallback.map(|work| work.named(&record.new.id));
    let left = match Left::read(&record.new.id, &entries) {
        Ok(Some(left)) => left,
        Ok(None) => return begin(context, &record, fallback, seat).await,
        Err(error) if entries.iter().any(StoredEntry::is_seal) => {
            // Its row is all that is missing.
            let end = failed("NotResumable", &error.to_string());
            return close(context, &record, Vec::new(), end, seat).await;
        }
        Err(error) => {
            return give_up(context, &record, still_open(&entries), "NotResumable", &error.to_string(), seat).await;
        }
    };
    let mut changes = Changes::default();
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Change.as_str()) {
        if let Some(EntryBody::Change(change)) = entry.body() {
            changes.take(entry.seq, &change);
        }
    }
    drop(entries);
    seat.view.send_modify(|view| view.progress = left.progress().clone());
    let request = match request(&left, fallback.as_ref()) {
        Ok(request) => request,
        // Nothing is asked of a container by a session whose last entry stands.
        Err(_) if left.state().is_sealed() => SandboxRequest::unused(&record.new.id),
        Err(message) => {
            let open = left.state().open_changes().keys().copied().collect();
            return give_up(context, &record, open, "NotResumable", &message, seat).await;
        }
    };
    tracing::info!(session = %record.new.id, behind = record.state.last_seq, "going on with a session");
    let bench =
        Bench::new(context, &record, seat, left.progress().clone(), left.state().open_changes().clone(), changes);
    let deps = bench.deps(request, None);
    bench.end(Box::pin(agent::resume(deps, left, seat.cancel.clone()))).await
}

/// The container as the first entry has it.
fn request(left: &Left, fallback: Option<&Work>) -> Result<SandboxRequest, String> {
    let frozen = left.given().settings.as_ref().map(|settings| &settings.sandbox);
    match (frozen.filter(|frozen| !frozen.is_null()), fallback) {
        (Some(frozen), fallback) => {
            let mut request: SandboxRequest = serde_json::from_value(frozen.clone()).map_err(|error| {
                format!(
                    "the session's first entry says in a way that is not known here which container it had: {error}"
                )
            })?;
            // It may hold passwords, so it is not on record. Of a Subject that is gone there is none.
            request.access.compose_file = fallback.and_then(|work| work.request.access.compose_file.clone());
            Ok(request)
        }
        (None, Some(work)) => Ok(work.request.clone()),
        (None, None) => Err("the session's first entry does not say which container it had, and its Incident or \
                             Subject cannot be worked on any more; raise spec.attempt to try again"
            .to_owned()),
    }
}

/// A session whose row stands and that never began: begins now.
async fn begin(context: &Arc<Context>, record: &SessionRecord, work: Option<Work>, seat: &Seat) -> End {
    let cancelled = || {
        let message = "cancelled before the session began".to_owned();
        End::of(&SessionEnd::Cancelled { message, findings: None }, Timestamp::now())
    };
    if seat.cancel.is_cancelled() {
        return close(context, record, vec![seal(&cancelled())], cancelled(), seat).await;
    }
    let Some(work) = work else {
        let message = "the controller ended before the session's first entry, and its Incident or Subject cannot be \
                       worked on any more; raise spec.attempt to try again";
        return give_up(context, record, BTreeSet::new(), "NeverBegan", message, seat).await;
    };
    let looked = async {
        // One in which nothing is tried asks for no container.
        match work.input.recurring {
            Some(_) => Ok(SandboxPlan::unused(&work.request)),
            None => context.sandboxes.preflight(&work.request).await,
        }
    };
    let plan = tokio::select! {
        plan = looked => plan,
        () = seat.cancel.cancelled() => {
            return close(context, record, vec![seal(&cancelled())], cancelled(), seat).await;
        }
    };
    match plan {
        Ok(plan) => start(context, work, plan, record, seat).await,
        Err(error) => {
            let message = crate::error::chain(&error);
            give_up(context, record, BTreeSet::new(), error.category(), &message, seat).await
        }
    }
}

/// Ends a session that cannot be gone on with, on record.
async fn give_up(
    context: &Arc<Context>,
    record: &SessionRecord,
    open_changes: BTreeSet<i64>,
    reason: &str,
    message: &str,
    seat: &Seat,
) -> End {
    tracing::error!(session = %record.new.id, reason, message, "a session cannot be gone on with");
    let end = failed(reason, message);
    let unknown = |change| {
        let result = ChangeResult::unknown("the controller ended before it heard what came of it");
        EntryBody::Change(ChangeEntry::Completed(CompletedChange { change, result }))
    };
    let mut words: Vec<EntryBody> = open_changes.into_iter().map(unknown).collect();
    let entry = ControlEntry { event: ControlEvent::Error, message: message.into(), details: Value::Null };
    words.extend([EntryBody::Control(entry), seal(&end)]);
    close(context, record, words, end, seat).await
}

/// The last entry.
fn seal(end: &End) -> EntryBody {
    let details = serde_json::json!({"phase": end.phase.as_str(), "reason": end.reason});
    EntryBody::Control(ControlEntry { event: ControlEvent::Sealed, message: end.message.clone(), details })
}

/// Writes the last words of a session, and finishes its row.
async fn close(context: &Arc<Context>, record: &SessionRecord, words: Vec<EntryBody>, end: End, seat: &Seat) -> End {
    let recorder = Recorder::new(context.audit.clone(), record, CancellationToken::new());
    for body in words {
        if let Err(error) = recorder.record_within(body, LAST_WORDS).await {
            tracing::error!(session = %record.new.id, error = crate::error::chain(&error), "the session's end is not on record");
            break;
        }
    }
    let progress = seat.view.borrow().progress.clone();
    finish(context, record, &progress, &end).await;
    end
}

/// Changes of which only the beginning is on record.
fn still_open(entries: &[StoredEntry]) -> BTreeSet<i64> {
    let mut open = BTreeSet::new();
    for entry in entries {
        match entry.body() {
            Some(EntryBody::Change(ChangeEntry::Begun(_))) => drop(open.insert(entry.seq)),
            Some(EntryBody::Change(ChangeEntry::Completed(done))) => drop(open.remove(&done.change)),
            _ => {}
        }
    }
    open
}

/// All entries of a session. While the store is away there is nothing to do but wait; a cancellation ends the pause
/// between two tries, and the try after it is the last one.
async fn read(audit: &dyn AuditStore, record: &SessionRecord, seat: &Seat) -> Result<Vec<StoredEntry>, End> {
    let mut all: Vec<StoredEntry> = Vec::new();
    loop {
        let last = seat.cancel.is_cancelled();
        let after = all.last().map_or(0, |entry| entry.seq);
        let error = match audit.stored(&record.new.id, after, reader::MAX_ENTRIES).await {
            Ok(page) if page.is_empty() => {
                seat.view.send_modify(|view| view.progress.waiting = None);
                return Ok(all);
            }
            Ok(page) => {
                all.extend(page);
                continue;
            }
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(failed("AuditUnavailable", &crate::error::chain(&error))),
        };
        if last {
            return Err(unseen(&error));
        }
        tokio::select! {
            () = seat.cancel.cancelled() => {}
            () = wait(&seat.view, &error) => {}
        }
    }
}

/// The end of a session that was cancelled while nothing could be read of it.
pub(super) fn unseen(error: &AuditError) -> End {
    let message = format!(
        "cancelled while the audit store was away, so what an earlier controller's session did is not shown here, and \
         its trail is sealed later: {}",
        crate::error::chain(error)
    );
    End::of(&SessionEnd::Cancelled { message, findings: None }, Timestamp::now())
}
