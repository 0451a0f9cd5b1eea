//! What is known of each change of a gateway. Pure.

use std::collections::BTreeMap;

use crate::audit::entry::{Change, ChangeResult};
use crate::gateway::protocol::FromController;

/// Changes that were announced and are not yet done with, by the gateway's numbers.
#[derive(Default)]
pub(super) struct Book {
    changes: BTreeMap<u64, State>,
    closed: bool,
}

enum State {
    /// The ledger is asked.
    Asked,
    /// Its row is committed under this number.
    Begun(i64),
    /// It cannot be put on record.
    Refused(String),
    /// It is over, and the ledger is told.
    Completing,
}

/// What follows from a frame of the gateway or a word of the ledger.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// Tell the gateway.
    Send(FromController),
    /// Have the change put on record.
    Begin(u64, Box<Change>),
    /// Have put on record what came of the change whose row has this number.
    Complete(u64, i64, Box<ChangeResult>),
}

impl Book {
    /// An earlier controller put this change on record, and perhaps did not hear what came of it.
    pub(super) fn adopt(&mut self, id: u64, seq: i64) {
        self.changes.entry(id).or_insert(State::Begun(seq));
    }

    /// The gateway announces a change, perhaps not for the first time.
    pub(super) fn begin(&mut self, id: u64, change: Box<Change>, epoch: u64) -> Step {
        if self.closed && !self.changes.contains_key(&id) {
            let reason = "the session has ended".to_owned();
            return Step::Send(FromController::Refused { id, reason, epoch });
        }
        match self.changes.get(&id) {
            None => {
                self.changes.insert(id, State::Asked);
                Step::Begin(id, change)
            }
            Some(State::Begun(_)) => Step::Send(FromController::Committed { id, epoch }),
            Some(State::Refused(reason)) => Step::Send(FromController::Refused { id, reason: reason.clone(), epoch }),
            Some(State::Asked | State::Completing) => Step::Wait,
        }
    }

    /// The ledger's word on a change that was announced.
    pub(super) fn begun(&mut self, id: u64, word: Result<i64, String>, epoch: u64) -> Step {
        let (state, answer) = match word {
            Ok(seq) => (State::Begun(seq), FromController::Committed { id, epoch }),
            Err(reason) => (State::Refused(reason.clone()), FromController::Refused { id, reason, epoch }),
        };
        self.changes.insert(id, state);
        Step::Send(answer)
    }

    /// The gateway says what came of a change.
    pub(super) fn done(&mut self, id: u64, result: Box<ChangeResult>) -> Step {
        match self.changes.get(&id) {
            Some(State::Begun(seq)) => {
                let seq = *seq;
                self.changes.insert(id, State::Completing);
                Step::Complete(id, seq, result)
            }
            // Given up by the gateway while the ledger is asked: said again, and answered then.
            Some(State::Asked | State::Completing) => Step::Wait,
            Some(State::Refused(_)) => {
                self.changes.remove(&id);
                Step::Send(FromController::Noted { id })
            }
            // Noted before, and the word was lost with its stream.
            None => Step::Send(FromController::Noted { id }),
        }
    }

    /// The ledger's word on a change that is over. A failure leaves it to be said again.
    pub(super) fn completed(&mut self, id: u64, seq: i64, is_written: bool) -> Step {
        if !is_written {
            self.changes.insert(id, State::Begun(seq));
            return Step::Wait;
        }
        self.changes.remove(&id);
        Step::Send(FromController::Noted { id })
    }

    /// Takes no more changes.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Forgets everything; the rows of changes that were begun and not heard of.
    pub(super) fn abandon(&mut self) -> Vec<i64> {
        let changes = std::mem::take(&mut self.changes);
        changes
            .into_values()
            .filter_map(|state| match state {
                State::Begun(seq) => Some(seq),
                State::Asked | State::Refused(_) | State::Completing => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{ChangeOutcome, ChangeTarget};

    fn change() -> Box<Change> {
        let target = ChangeTarget { kind: "container".into(), id: "1".into(), name: "a".into(), service: None };
        let (action, summary) = ("container.start".into(), "docker start a".into());
        Box::new(Change { action, target, summary, argv: Vec::new(), call: serde_json::Value::Null, origin: None })
    }

    fn result() -> Box<ChangeResult> {
        let outcome = ChangeOutcome::Succeeded { status: 204 };
        Box::new(ChangeResult { outcome, duration_ms: 1, input: None, details: serde_json::Value::Null })
    }

    #[test]
    fn a_change_is_written_once_however_often_it_is_said() {
        let mut book = Book::default();
        assert_eq!(book.begin(1, change(), 7), Step::Begin(1, change()));
        assert_eq!(book.begin(1, change(), 7), Step::Wait);
        let committed = Step::Send(FromController::Committed { id: 1, epoch: 7 });
        assert_eq!(book.begun(1, Ok(12), 7), committed);
        assert_eq!(book.begin(1, change(), 7), committed);
        assert_eq!(book.done(1, result()), Step::Complete(1, 12, result()));
        assert_eq!(book.done(1, result()), Step::Wait);
        let noted = Step::Send(FromController::Noted { id: 1 });
        assert_eq!(book.completed(1, 12, true), noted);
        assert_eq!(book.done(1, result()), noted);
    }

    #[test]
    fn a_result_that_could_not_be_written_is_asked_for_again() {
        let mut book = Book::default();
        book.begin(1, change(), 1);
        book.begun(1, Ok(3), 1);
        book.done(1, result());
        assert_eq!(book.completed(1, 3, false), Step::Wait);
        assert_eq!(book.done(1, result()), Step::Complete(1, 3, result()));
    }

    #[test]
    fn a_change_of_an_earlier_controller_is_answered_and_ended_under_its_own_row() {
        let mut book = Book::default();
        book.adopt(4, 12);
        assert_eq!(book.begin(4, change(), 2), Step::Send(FromController::Committed { id: 4, epoch: 2 }));
        assert_eq!(book.done(4, result()), Step::Complete(4, 12, result()));
        book.completed(4, 12, true);
        assert!(book.abandon().is_empty());
    }

    #[test]
    fn what_was_begun_and_never_heard_of_is_left_over() {
        let mut book = Book::default();
        for (id, word) in [(1, Ok(3)), (2, Err("away".to_owned())), (3, Ok(5))] {
            book.begin(id, change(), 1);
            book.begun(id, word, 1);
        }
        assert_eq!(book.abandon(), [3, 5]);
        book.close();
        assert!(matches!(book.begin(4, change(), 1), Step::Send(FromController::Refused { .. })));
    }
}
