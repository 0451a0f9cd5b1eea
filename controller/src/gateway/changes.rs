//! What became of each change: held, allowed, ended, noted. Pure: who waits and who sends is the
//! [`ledger`](super::ledger)'s business.
//!
//! A change happens only if it is allowed while it is held. One that was given up in the meantime stays
//! given up, whatever the controller says later.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::protocol::FromGateway;
use crate::audit::entry::{Change, ChangeOutcome, ChangeResult};
use crate::supervisor::frames::encode;

/// All changes that are not yet done with.
#[derive(Debug)]
pub struct Changes {
    last: u64,
    epoch: u64,
    most: usize,
    most_bytes: usize,
    closing: bool,
    entries: BTreeMap<u64, State>,
}

#[derive(Debug)]
enum State {
    /// Waits for its row. The frame is kept as it goes out, so that its size is known.
    Held { frame: Bytes, announced: bool },
    /// May happen, or happens.
    Allowed,
    /// Is over, and the controller has not yet said that it knows.
    Ended(Box<ChangeResult>),
}

/// Why a change cannot even be announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unannounced {
    /// The session ends.
    #[error("the session ends; nothing may be changed any more")]
    Closing,
    /// Too many are under way.
    #[error("audit unavailable: too many changes are not on record yet; try again later")]
    Full,
    /// It does not fit in a frame.
    #[error("the call is too long to be put on record")]
    TooLong,
}

/// What one control stream was already sent.
#[derive(Debug, Default)]
pub struct Sent {
    begun: BTreeSet<u64>,
    done: BTreeSet<u64>,
}

impl Changes {
    /// None yet.
    #[must_use]
    pub fn new(most: usize, most_bytes: usize) -> Self {
        Self { last: 0, epoch: 0, most, most_bytes, closing: false, entries: BTreeMap::new() }
    }

    /// Takes a fencing token: the highest one seen, or why this one is refused.
    pub fn admit(&mut self, epoch: u64) -> Result<u64, String> {
        if epoch < self.epoch {
            return Err(format!("epoch {epoch} is over, {} was seen", self.epoch));
        }
        self.epoch = epoch;
        Ok(epoch)
    }

    /// A new change, held from now on.
    pub fn begin(&mut self, change: Change) -> Result<u64, Unannounced> {
        if self.closing {
            return Err(Unannounced::Closing);
        }
        if self.entries.len() >= self.most {
            return Err(Unannounced::Full);
        }
        let id = self.last + 1;
        let frame = encode(&FromGateway::Begin { id, change: Box::new(change) });
        let frame = frame.map_err(|_| Unannounced::TooLong)?;
        if self.bytes() + frame.len() > self.most_bytes {
            return Err(Unannounced::Full);
        }
        self.last = id;
        self.entries.insert(id, State::Held { frame, announced: false });
        Ok(id)
    }

    fn bytes(&self) -> usize {
        let held = |state: &State| if let State::Held { frame, .. } = state { frame.len() } else { 0 };
        self.entries.values().map(held).sum()
    }

    /// The row is committed. Whether that came in time: only then it may happen.
    pub fn allow(&mut self, id: u64) -> bool {
        match self.entries.get_mut(&id) {
            Some(state @ State::Held { .. }) => {
                *state = State::Allowed;
                true
            }
            _ => false,
        }
    }

    /// There will be no row. Whether it was still held.
    pub fn refuse(&mut self, id: u64) -> bool {
        let held = matches!(self.entries.get(&id), Some(State::Held { .. }));
        if held {
            self.entries.remove(&id);
        }
        held
    }

    /// Nobody waits for it any more: if it is held it never happens. Whether it was.
    pub fn give_up(&mut self, id: u64, reason: &str, duration_ms: i64) -> bool {
        match self.entries.get_mut(&id) {
            Some(State::Held { announced: false, .. }) => {
                // Nobody else ever heard of it.
                self.entries.remove(&id);
                true
            }
            Some(state @ State::Held { .. }) => {
                *state = State::Ended(Box::new(not_done(reason, duration_ms)));
                true
            }
            _ => false,
        }
    }

    /// What came of one that was allowed.
    pub fn finish(&mut self, id: u64, result: ChangeResult) {
        if let Some(state @ State::Allowed) = self.entries.get_mut(&id) {
            *state = State::Ended(Box::new(result));
        }
    }

    /// The controller has the result on record.
    pub fn noted(&mut self, id: u64) {
        if matches!(self.entries.get(&id), Some(State::Ended(_))) {
            self.entries.remove(&id);
        }
    }

    /// No further change begins. The held ones, which are to be given up.
    pub fn close(&mut self) -> Vec<u64> {
        self.closing = true;
        let held = self.entries.iter().filter(|(_, state)| matches!(state, State::Held { .. }));
        held.map(|(id, _)| *id).collect()
    }

    /// Whether nothing is held or under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.entries.values().all(|state| matches!(state, State::Ended(_)))
    }

    /// The next frame for a stream that was sent these.
    pub fn next_frame(&mut self, sent: &mut Sent) -> Option<Bytes> {
        // What is gone from here need not be remembered there.
        sent.begun.retain(|id| self.entries.contains_key(id));
        sent.done.retain(|id| self.entries.contains_key(id));
        for (&id, state) in &mut self.entries {
            match state {
                State::Held { frame, announced } if sent.begun.insert(id) => {
                    *announced = true;
                    return Some(frame.clone());
                }
                State::Ended(result) if sent.done.insert(id) => {
                    if let Ok(frame) = encode(&FromGateway::Done { id, result: result.clone() }) {
                        return Some(frame);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

fn not_done(reason: &str, duration_ms: i64) -> ChangeResult {
    let outcome = ChangeOutcome::NotDone { reason: reason.to_owned() };
    ChangeResult { outcome, duration_ms, input: None, details: serde_json::Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::ChangeTarget;
    use crate::supervisor::frames::decode;

    fn change(summary: &str) -> Change {
        let target =
            ChangeTarget { kind: "container".into(), id: "c".repeat(64), name: "shop-web-1".into(), service: None };
        let call = serde_json::json!({"method": "POST", "path": "/containers/x/restart"});
        Change {
            action: "container.restart".into(),
            target,
            summary: summary.into(),
            argv: Vec::new(),
            call,
            origin: None,
        }
    }

    fn changes() -> Changes {
        Changes::new(4, 1 << 20)
    }

    fn next(changes: &mut Changes, sent: &mut Sent) -> Option<FromGateway> {
        changes.next_frame(sent).map(|frame| decode(&frame).unwrap())
    }

    fn succeeded() -> ChangeResult {
        let outcome = ChangeOutcome::Succeeded { status: 204 };
        ChangeResult { outcome, duration_ms: 7, input: None, details: serde_json::Value::Null }
    }

    #[test]
    fn a_change_is_announced_allowed_done_and_forgotten() {
        let (mut changes, mut sent) = (changes(), Sent::default());
        let id = changes.begin(change("docker restart shop-web-1")).unwrap();
        assert_eq!(id, 1);
        assert!(matches!(next(&mut changes, &mut sent), Some(FromGateway::Begin { id: 1, .. })));
        assert_eq!(next(&mut changes, &mut sent), None);
        assert!(changes.allow(id));
        assert!(!changes.is_idle());
        changes.finish(id, succeeded());
        assert_eq!(next(&mut changes, &mut sent), Some(FromGateway::Done { id, result: Box::new(succeeded()) }));
        assert_eq!(next(&mut changes, &mut sent), None);
        changes.noted(id);
        assert!(changes.is_idle());
        assert_eq!(next(&mut changes, &mut Sent::default()), None);
    }

    #[test]
    fn what_was_not_answered_is_said_again_on_the_next_stream() {
        let mut changes = changes();
        let held = changes.begin(change("a")).unwrap();
        let done = changes.begin(change("b")).unwrap();
        let mut first = Sent::default();
        while changes.next_frame(&mut first).is_some() {}
        changes.allow(done);
        changes.finish(done, succeeded());
        let mut second = Sent::default();
        assert!(matches!(next(&mut changes, &mut second), Some(FromGateway::Begin { id, .. }) if id == held));
        assert!(matches!(next(&mut changes, &mut second), Some(FromGateway::Done { id, .. }) if id == done));
        assert_eq!(next(&mut changes, &mut second), None);
    }

    #[test]
    fn one_that_was_given_up_never_happens() {
        let (mut changes, mut sent) = (changes(), Sent::default());
        let id = changes.begin(change("a")).unwrap();
        next(&mut changes, &mut sent);
        assert!(changes.give_up(id, "no answer came", 30_000));
        assert!(!changes.allow(id), "too late");
        let Some(FromGateway::Done { result, .. }) = next(&mut changes, &mut sent) else { panic!("no frame") };
        assert_eq!(result.outcome, ChangeOutcome::NotDone { reason: "no answer came".into() });
        assert!(changes.is_idle());
    }

    #[test]
    fn one_that_nobody_heard_of_leaves_nothing() {
        let mut changes = changes();
        let id = changes.begin(change("a")).unwrap();
        assert!(changes.give_up(id, "the client went away", 1));
        assert_eq!(next(&mut changes, &mut Sent::default()), None);
    }

    #[test]
    fn a_refused_one_is_forgotten_and_cannot_be_allowed() {
        let mut changes = changes();
        let id = changes.begin(change("a")).unwrap();
        assert!(changes.refuse(id));
        assert!(!changes.allow(id));
        assert!(changes.is_idle());
    }

    #[test]
    fn one_that_is_allowed_is_neither_refused_nor_given_up() {
        let mut changes = changes();
        let id = changes.begin(change("a")).unwrap();
        assert!(changes.allow(id));
        assert!(!changes.refuse(id));
        assert!(!changes.give_up(id, "x", 0));
        changes.noted(id);
        assert!(!changes.is_idle());
    }

    #[test]
    fn there_are_only_so_many_and_only_so_large_ones() {
        let mut changes = changes();
        for _ in 0..4 {
            changes.begin(change("a")).unwrap();
        }
        assert_eq!(changes.begin(change("a")), Err(Unannounced::Full));
        changes.refuse(1);
        assert_eq!(changes.begin(change(&"x".repeat(1 << 20))), Err(Unannounced::Full));
        assert_eq!(changes.begin(change(&"x".repeat(9 << 20))), Err(Unannounced::TooLong));
        assert_eq!(changes.begin(change("a")), Ok(5), "a number that was not given is not used up");
    }

    #[test]
    fn after_a_close_nothing_begins() {
        let mut changes = changes();
        let held = changes.begin(change("a")).unwrap();
        assert_eq!(changes.close(), [held]);
        assert_eq!(changes.begin(change("a")), Err(Unannounced::Closing));
    }

    #[test]
    fn an_old_epoch_is_refused() {
        let mut changes = changes();
        assert_eq!(changes.admit(3), Ok(3));
        assert_eq!(changes.admit(3), Ok(3));
        assert!(changes.admit(2).is_err());
        assert_eq!(changes.admit(4), Ok(4));
    }
}
