//! The log of Subjects: invariants that become violated, and that hold again.

use std::collections::HashMap;

use crds::invariant::InvariantState;

use super::{Known, Log, Wants};
use crate::feed::{FeedEvent, Object};
use crate::world::{Named as _, Uid};

/// The log.
#[derive(Debug, Default)]
pub(super) struct SubjectLog {
    told: HashMap<(Uid, String), InvariantState>,
}

impl Log for SubjectLog {
    fn begin(&mut self, _: &Known) -> Wants {
        Wants::default()
    }

    fn feed(&mut self, event: &FeedEvent, _: &Known) -> Wants {
        let FeedEvent::Applied { object: Object::Subject(subject) } = event else { return Wants::default() };
        let mut lines = Vec::new();
        let uid: Uid = subject.uid().into();
        for invariant in subject.status.iter().flat_map(|status| &status.invariants) {
            let before = self.told.insert((uid.clone(), invariant.name.clone()), invariant.state);
            if before != Some(invariant.state) {
                let sign = if invariant.message.is_empty() { "" } else { ": " };
                lines.push(format!(
                    "{}/{}: {} is {}{sign}{}",
                    subject.space(),
                    subject.named(),
                    invariant.name,
                    invariant.state.as_str(),
                    invariant.message
                ));
            }
        }
        Wants { lines, ..Wants::default() }
    }
}
