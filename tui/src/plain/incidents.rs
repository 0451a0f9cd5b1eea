//! The log of Incidents: phases and the last entries of their sessions.

use std::collections::HashMap;

use crds::IncidentPhase;

use super::{Known, Log, Wants};
use crate::ask::Target;
use crate::feed::{FeedEvent, Kind, Object};
use crate::screen::incidents::Filter;
use crate::world::{Named as _, Uid};

/// What was told of an Incident.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    phase: Option<IncidentPhase>,
    attempt: Option<i64>,
    message: String,
    entry: i64,
    name: String,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct IncidentLog {
    filter: Filter,
    wrong: Option<String>,
    told: HashMap<Uid, Told>,
}

impl IncidentLog {
    /// A log of those that the target's filter leaves.
    pub(super) fn new(target: &Target) -> Self {
        let text = if let Target::Incidents { filter } = target { filter.as_str() } else { "" };
        match Filter::parse(text) {
            Ok(filter) => Self { filter, ..Self::default() },
            Err(wrong) => Self { wrong: Some(wrong), ..Self::default() },
        }
    }
}

impl Log for IncidentLog {
    fn begin(&mut self, _: &Known) -> Wants {
        match self.wrong.take() {
            Some(wrong) => Wants { lines: vec![format!("error: {wrong}")], end: Some(2), ..Wants::default() },
            None => Wants::default(),
        }
    }

    fn feed(&mut self, event: &FeedEvent, _: &Known) -> Wants {
        let mut lines = Vec::new();
        match event {
            FeedEvent::Applied { object: Object::Incident(incident) } if self.filter.fits(incident) => {
                let status = incident.status.clone().unwrap_or_default();
                let told = self.told.entry(incident.uid().into()).or_default();
                let name = format!("{}/{}", incident.space(), incident.named());
                if told.phase.is_none() {
                    let spec = &incident.spec;
                    lines.push(format!(
                        "{name}: {} on {}: {}",
                        spec.severity.as_str(),
                        spec.subject_ref.name,
                        spec.title
                    ));
                }
                if told.attempt != status.attempt {
                    told.entry = 0;
                    told.attempt = status.attempt;
                }
                for entry in &status.recent_entries {
                    if entry.seq > told.entry {
                        lines.push(format!("{name}: {} {}: {}", entry.seq, entry.kind, entry.text));
                        told.entry = entry.seq;
                    }
                }
                let message = status.message.unwrap_or_default();
                if told.phase != Some(status.phase) || told.message != message {
                    let sign = if message.is_empty() { "" } else { ": " };
                    lines.push(format!("{name}: {}{sign}{message}", status.phase.as_str()));
                }
                (told.phase, told.message, told.name) = (Some(status.phase), message, name);
            }
            FeedEvent::Deleted { of: Kind::Incidents, uid } => {
                if let Some(told) = self.told.remove(uid.as_str()) {
                    lines.push(format!("{}: deleted", told.name));
                }
            }
            _ => {}
        }
        Wants { lines, ..Wants::default() }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::settings::Settings;
    use crate::testing::{incident, now};
    use crate::theme::ThemeName;
    use crate::world::World;

    fn lines(log: &mut IncidentLog, events: &[FeedEvent]) -> Vec<String> {
        let (world, settings, now): (_, _, Timestamp) =
            (World::default(), Settings::new(ThemeName::Mono, false), now());
        let known = Known { world: &world, now, settings: &settings };
        events.iter().flat_map(|event| log.feed(event, &known).lines).collect()
    }

    #[test]
    fn each_thing_is_told_once() {
        let running = |entries: serde_json::Value| FeedEvent::Applied {
            object: incident(
                "inc-1",
                "tikv",
                &json!({"status": {"phase": "Running", "attempt": 1, "message": "$ docker ps", "recentEntries": entries}}),
            ),
        };
        let entry = |seq: i64| json!({"seq": seq, "kind": "reasoning", "at": "2026-01-28T12:00:00Z", "text": format!("thought {seq}")});
        let mut log = IncidentLog::new(&Target::Incidents { filter: "tikv".to_owned() });
        let events = [
            running(json!([entry(1)])),
            running(json!([entry(1)])),
            running(json!([entry(1), entry(3)])),
            FeedEvent::Applied { object: incident("inc-2", "etcd", &json!({})) },
            FeedEvent::Deleted { of: Kind::Incidents, uid: "uid-inc-1".to_owned() },
        ];
        assert_eq!(
            lines(&mut log, &events),
            [
                "shop/inc-1: critical on tikv: tikv is not well",
                "shop/inc-1: 1 reasoning: thought 1",
                "shop/inc-1: Running: $ docker ps",
                "shop/inc-1: 3 reasoning: thought 3",
                "shop/inc-1: deleted",
            ]
        );
    }
}
