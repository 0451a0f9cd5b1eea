//! How one key of an invariant stands, and what time does to it. Pure.

use crds::invariant::InvariantState;
use jiff::{SignedDuration, Timestamp};

use super::views::KeyView;

/// What an expression says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It holds.
    Holds,
    /// It does not, in words.
    Violated(String),
    /// Nobody can say, and why.
    Unknown(String),
}

/// How a key stands.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) state: InvariantState,
    since: Timestamp,
    message: String,
    /// Since when it is violated without having held.
    begun: Option<Timestamp>,
    /// How long of that it was seen to be violated, up to the last gap.
    counted: SignedDuration,
    /// Since when it is seen to be violated without a gap.
    running: Option<Timestamp>,
    pub(super) gone: bool,
}

impl Standing {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            state: InvariantState::Unknown,
            since: now,
            message: String::new(),
            begun: None,
            counted: SignedDuration::ZERO,
            running: None,
            gone: false,
        }
    }

    /// Takes in what is said now. A time of which nobody can say anything neither ends a violation nor counts for its
    /// grace. `onset` is when what is said began to be so. Whether the state is another than before.
    pub(super) fn take(&mut self, said: Said, grace: SignedDuration, onset: Timestamp, now: Timestamp) -> bool {
        let before = (self.state, self.gone);
        self.gone = false;
        match said {
            Said::Holds => {
                (self.begun, self.running, self.counted) = (None, None, SignedDuration::ZERO);
                self.turn(InvariantState::Ok, now);
                self.message.clear();
            }
            Said::Unknown(why) => {
                if let Some(running) = self.running.take() {
                    self.counted = self.counted.saturating_add(now.duration_since(running).max(SignedDuration::ZERO));
                }
                self.turn(InvariantState::Unknown, now);
                self.message = why;
            }
            Said::Violated(message) => {
                let begun = *self.begun.get_or_insert(onset);
                let running = *self.running.get_or_insert(onset);
                let violated = self.counted.saturating_add(now.duration_since(running));
                self.state = if violated >= grace { InvariantState::Violated } else { InvariantState::Pending };
                self.since = begun;
                self.message = message;
            }
        }
        before != (self.state, false)
    }

    fn turn(&mut self, state: InvariantState, now: Timestamp) {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }

    /// It is not there any more. Whether it is to be kept: who takes away what is sick has not made it well.
    pub(super) fn vanish(&mut self) -> bool {
        if !self.gone {
            self.gone = self.state == InvariantState::Violated
                || (self.state == InvariantState::Unknown && self.begun.is_some());
            if self.gone {
                self.state = InvariantState::Violated;
                self.message = "it is not there any more".into();
            }
        }
        self.gone
    }

    pub(super) fn view(&self, key: &str) -> KeyView {
        KeyView {
            key: key.to_owned(),
            state: self.state,
            since: Some(self.since),
            message: self.message.clone(),
            gone: self.gone,
        }
    }
}
