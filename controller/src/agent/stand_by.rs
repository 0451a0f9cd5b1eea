//! What people order while a session runs, between two of its steps: it stands still while the installation is
//! halted, and hears what they have to say before it asks the model or concludes.
//!
//! Both are entries, so that a session which is resumed has heard the same and stood still as long.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::driver::{Flow, Session, Stop};
use super::prompt;
use super::state::REPLACE;
use super::step::{Step, Todo};
use super::transcript::TELL;
use crate::audit::entry::{ControlEntry, ControlEvent, EntryBody, NoteEntry};

/// After a longer halt the container is replaced: it would soon end by its own clock, in the middle of something.
const KEEP: Duration = Duration::from_mins(4);

impl Session {
    /// Waits while the installation is halted, before a step that begins something. True if that was so; then the
    /// step is another one perhaps.
    pub(super) async fn stand_by(&mut self, step: &Step) -> Flow<bool> {
        let begins =
            matches!(step, Step::Ask { .. } | Step::AskLast { .. } | Step::Announce { todo: Todo::Shell(_), .. });
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
        let wall_time = Duration::from_secs(self.frozen.budgets.wall_time_seconds);
        self.deadline = Instant::now() + wall_time.saturating_sub(self.state.wall_time(Timestamp::now()));
        self.sandboxes.put_off(self.deadline);
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
        let any = !new.is_empty();
        for note in new {
            self.write(EntryBody::Note(note)).await?;
        }
        Ok(any)
    }
}
