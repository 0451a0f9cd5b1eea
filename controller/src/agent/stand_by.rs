//! What happens outside while a session runs, between two of its steps: it stands still while the installation is
//! halted, and hears what people have to say before it asks the model or concludes, and what else was seen of the system
//! before it asks the model.
//!
//! All of it are entries, so that a session which is resumed has heard the same and stood still as long.

use std::time::Duration;

use crds::incident::Evidence;
use jiff::Timestamp;
use serde_json::json;

use super::driver::{Flow, Session, Stop};
use super::prompt;
use super::state::{KNOWN, REPLACE};
use super::step::{Step, Todo};
use super::transcript::TELL;
use crate::audit::entry::{ControlEntry, ControlEvent, EntryBody, NoteEntry, VerificationEntry};
use crate::printable::short_line;
use crate::redact::Redactor;

/// After a longer halt the container is replaced: it would soon end by its own clock, in the middle of something.
const KEEP: Duration = Duration::from_mins(4);
/// Pieces of evidence that the model is told at once, and the characters of one and of its source.
const MOST_EVIDENCE: usize = 16;
const LONGEST_EVIDENCE: usize = 1000;
const LONGEST_SOURCE: usize = 100;

impl Session {
    /// Waits while the installation is halted, before a step that begins something. True if that was so; then the
    /// step is another one perhaps.
    pub(super) async fn stand_by(&mut self, step: &Step) -> Flow<bool> {
        let begins = matches!(
            step,
            Step::Ask { .. } | Step::AskLast { .. } | Step::Verify { .. } | Step::Announce { todo: Todo::Shell(_), .. }
        );
        let halt = self.orders.halt.borrow_and_update().clone();
        if !begins || (halt.is_none() && !self.state.is_halted()) {
            return Ok(false);
        }
        let sentence =
            halt.as_ref().map_or_else(|| "the installation was halted".to_owned(), crate::halt::Halt::sentence);
        self.progress.send_modify(|progress| progress.halted = Some(sentence.clone()));
        let waited = self.wait_for_release(&sentence, json!(halt)).await;
        self.progress.send_modify(|progress| progress.halted = None);
        waited.map(|()| true)
    }

    async fn wait_for_release(&mut self, sentence: &str, details: serde_json::Value) -> Flow<()> {
        // One that was in the middle of a halt has it on record.
        if !self.state.is_halted() {
            self.control(ControlEvent::Halted, sentence.to_owned(), details).await?;
        }
        let (mut halt, cancel) = (self.orders.halt.clone(), self.cancel.clone());
        let over = async {
            if halt.wait_for(Option::is_none).await.is_err() {
                // The controller stops; the next one finds the halt on record.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = over => {}
            () = cancel.cancelled() => return Err(Stop::Cancelled),
        }
        let lasted = self.state.halted_for(Timestamp::now());
        let replace = lasted > KEEP && self.state.container.is_some();
        let message = format!("the installation goes on after a halt of {} s", lasted.as_secs());
        let tell = prompt::released(lasted, sentence);
        let details = json!({"seconds": lasted.as_secs(), REPLACE: replace, TELL: tell});
        self.write(EntryBody::Control(ControlEntry { event: ControlEvent::Released, message, details })).await?;
        self.put_off();
        Ok(())
    }

    /// Puts on record what people said since the model was last told, before it is asked again or concludes. True if
    /// there was something.
    pub(super) async fn hear(&mut self, step: &Step) -> Flow<bool> {
        let listens =
            matches!(step, Step::Ask { .. } | Step::AskLast { .. } | Step::Announce { todo: Todo::Conclude(_), .. });
        if !listens {
            return Ok(false);
        }
        let heard = self.state.transcript.heard;
        let new = |notes: &[NoteEntry]| notes.iter().filter(|note| note.number > heard).cloned().collect();
        let new: Vec<NoteEntry> = new(&self.orders.notes.borrow_and_update());
        let mut any = !new.is_empty();
        for note in new {
            self.write(EntryBody::Note(note)).await?;
        }
        if matches!(step, Step::Ask { .. } | Step::AskLast { .. }) {
            any |= self.hear_evidence().await?;
        }
        if matches!(step, Step::Ask { .. }) {
            any |= self.hear_of_health().await?;
        }
        Ok(any)
    }

    /// Puts on record what joined the Incident since the model was last told.
    async fn hear_evidence(&mut self) -> Flow<bool> {
        let all = self.orders.evidence.borrow_and_update().clone();
        let new = all.get(self.state.evidence..).unwrap_or_default();
        if new.is_empty() {
            return Ok(false);
        }
        let redactor = &self.presenter.redactor;
        let mut lines: Vec<String> = new.iter().take(MOST_EVIDENCE).map(|one| line_of(one, redactor)).collect();
        if new.len() > lines.len() {
            lines.push(format!("- and {} more, in the Incident", new.len() - lines.len()));
        }
        let message = match new.len() {
            1 => "more was seen of the incident: one piece of evidence joined it".to_owned(),
            count => format!("more was seen of the incident: {count} pieces of evidence joined it"),
        };
        let told = prompt::joined(&self.presenter.fence.around(&lines.join("\n")));
        let details = json!({KNOWN: all.len(), TELL: told});
        self.control(ControlEvent::Evidence, message, details).await?;
        Ok(true)
    }

    /// Puts on record, once, that all invariants hold again though the agent has not concluded.
    async fn hear_of_health(&mut self) -> Flow<bool> {
        if self.state.checks.healed_said || !self.healing.is_seen() {
            return Ok(false);
        }
        let details = json!({TELL: prompt::HEALED});
        self.write(EntryBody::Verification(VerificationEntry::Healed { details })).await?;
        Ok(true)
    }
}

/// A piece of evidence in a line: alerts and the system's own words stand in it.
fn line_of(evidence: &Evidence, redactor: &Redactor) -> String {
    let at = evidence.observed_at.as_ref();
    let at = at.map(|at| format!(", {}", at.0.strftime("%Y-%m-%d %H:%M:%S UTC"))).unwrap_or_default();
    let (source, message) = (redactor.text(&evidence.source).value, redactor.text(&evidence.message).value);
    format!("- {} ({}{at})", short_line(&message, LONGEST_EVIDENCE), short_line(&source, LONGEST_SOURCE))
}
