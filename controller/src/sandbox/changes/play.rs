//! A gateway says whatever it likes, the ledger's words come when they come: what must hold of the book all the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::book::{Book, MOST, Step};
use crate::depth::is_shallow;
use crate::gateway::protocol::{FromController, FromGateway};

/// What the ledger still has to answer.
enum Due {
    Begun(u64),
    Completed(u64, i64),
}

/// Plays these frames to a book, with a ledger of which `pace` says how it answers.
///
/// # Panics
///
/// If a change is allowed without its row, or put on record twice, or too much is kept.
pub fn changes(frames: impl IntoIterator<Item = FromGateway>, pace: u8) {
    let (mut book, mut due, mut row) = (Book::default(), VecDeque::new(), 0);
    // The rows that stand and are not completed, by the gateway's numbers; and those that are completed.
    let (mut open, mut completed) = (BTreeMap::<u64, i64>::new(), BTreeSet::new());
    let mut is_closed = false;
    for (turn, frame) in frames.into_iter().enumerate() {
        // What the driver takes for hostile ends the stream.
        if !frame.is_sound() {
            break;
        }
        let step = match frame {
            FromGateway::Begin { id, change } => book.begin(id, change, 1),
            FromGateway::Done { id, result } => book.done(id, result),
            // The order to close comes from elsewhere; here as good a moment as any.
            FromGateway::Pong { .. } => {
                book.close();
                is_closed = true;
                Step::Wait
            }
            FromGateway::Hello { .. } | FromGateway::Closed | FromGateway::Error { .. } => break,
        };
        match step {
            Step::Begin(id, change) => {
                assert!(!is_closed, "a change begins after the end");
                assert!(is_shallow(&change.call), "a row that nobody can read again");
                due.push_back(Due::Begun(id));
            }
            Step::Complete(id, seq, _) => {
                assert_eq!(open.get(&id), Some(&seq), "what came of a change that never was");
                due.push_back(Due::Completed(id, seq));
            }
            step => said(&step, &open),
        }
        assert!(book.len() <= MOST);
        // The ledger answers with some delay, and not always well.
        if !(turn + usize::from(pace)).is_multiple_of(3)
            && let Some(answer) = due.pop_front()
        {
            let is_written = !(turn + usize::from(pace)).is_multiple_of(5);
            match answer {
                Due::Begun(id) if is_written => {
                    row += 1;
                    assert!(open.insert(id, row).is_none(), "a second row for one change");
                    said(&book.begun(id, Ok(row), 1), &open);
                }
                Due::Begun(id) => said(&book.begun(id, Err("away".to_owned()), 1), &open),
                Due::Completed(id, seq) => {
                    if is_written {
                        assert!(completed.insert(seq), "a second end of one change");
                        open.remove(&id);
                    }
                    said(&book.completed(id, seq, is_written), &open);
                }
            }
        }
    }
    let left: BTreeSet<i64> = book.abandon().into_iter().collect();
    let standing: BTreeSet<i64> = open.into_values().collect();
    assert!(left.is_subset(&standing), "an end for a change that has none open");
    // The others are being completed.
    let ending = due.iter().filter(|due| matches!(due, Due::Completed(..))).count();
    assert_eq!(left.len() + ending, standing.len(), "a change that was begun is forgotten");
}

/// The first promise: no word that a change may happen without its row.
fn said(step: &Step, open: &BTreeMap<u64, i64>) {
    if let Step::Send(FromController::Committed { id, .. }) = step {
        assert!(open.contains_key(id), "a change may happen that is not on record");
    }
}
