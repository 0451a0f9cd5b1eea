//! The log of a session: each entry as it is written, in the form in which `operator audit follow` prints it.

use audit_client::render::style::Style;
use audit_client::render::text::{self, Options};
use audit_client::{SessionId, SessionRecord};

use super::{Known, Log, Wants};
use crate::ask::SessionTarget;
use crate::feed::{Entry, FeedEvent, Kind, Link, Request, Source};
use crate::screen::session::digest::stored;
use crate::world::Named as _;

/// The log.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a question of its own
pub(super) struct SessionLog {
    target: SessionTarget,
    /// The session's id, once it is known.
    id: Option<String>,
    record: Option<SessionRecord>,
    /// The number of the last entry that was told.
    told: i64,
    /// Whether the session is followed.
    following: bool,
    /// Whether lines of the Incident's status stand in for the entries.
    denied: bool,
    over: bool,
    sealed: bool,
    /// How often the row was asked for after the seal: it is written right after it.
    waited: u32,
}

/// How often it is asked for.
const ROWS: u32 = 5;

impl SessionLog {
    /// The log of a session.
    pub(super) fn new(target: SessionTarget) -> Self {
        let id = match &target {
            SessionTarget::Id(id) if SessionId::is_valid(id) => Some(id.clone()),
            _ => None,
        };
        Self {
            target,
            id,
            record: None,
            told: 0,
            following: false,
            denied: false,
            over: false,
            sealed: false,
            waited: 0,
        }
    }

    fn options(known: &Known) -> Options {
        Options { full: false, style: Style::default(), now: known.now }
    }

    fn start(&mut self) -> Wants {
        let asked = self.id.clone().map(|session| Request::Session { session }.into());
        Wants { cmds: asked.into_iter().collect(), ..Wants::default() }
    }

    /// Finds the session of an Incident.
    fn find(&mut self, known: &Known) -> Wants {
        let incidents = &known.world.incidents;
        let incident = match &self.target {
            SessionTarget::Incident { uid } => incidents.get(uid),
            SessionTarget::Id(name) => incidents.iter().map(|(_, i)| i).find(|incident| incident.named() == name),
        };
        let Some(incident) = incident else {
            if !incidents.is_listed() {
                return Wants::default();
            }
            let line = "error: there is no such session, and no Incident of that name".to_owned();
            return Wants { lines: vec![line], end: Some(1), ..Wants::default() };
        };
        self.id = incident.status.as_ref().and_then(|status| status.session_id.clone());
        self.start()
    }

    fn entries(&mut self, entries: &[Entry], known: &Known) -> Vec<String> {
        let (Some(record), Some(id)) = (&self.record, &self.id) else { return Vec::new() };
        let mut lines = Vec::new();
        for entry in entries.iter().filter(|entry| entry.seq > self.told) {
            let stored = stored(id, entry);
            self.sealed |= stored.is_seal();
            // Here is nothing that could show more.
            let step = text::step(record, &stored, Self::options(known));
            lines.extend(step.lines().map(|line| line.strip_suffix(", --full shows all").unwrap_or(line).to_owned()));
        }
        self.told = entries.iter().map(|entry| entry.seq).fold(self.told, i64::max);
        lines
    }

    fn recorded(&mut self, record: &SessionRecord, known: &Known) -> Wants {
        let first = self.record.replace(record.clone()).is_none();
        if self.sealed && (record.state.ended_at.is_some() || self.waited >= ROWS) {
            // The row has how it ended.
            self.over = true;
            let foot = text::footer(record, Self::options(known));
            return Wants { lines: foot.lines().map(str::to_owned).collect(), end: Some(0), ..Wants::default() };
        }
        let head = text::header(record, Self::options(known));
        let lines = if first { head.lines().map(str::to_owned).collect() } else { Vec::new() };
        Wants { lines, ..self.follow() }
    }

    fn follow(&mut self) -> Wants {
        let Some(session) = self.id.clone().filter(|_| !std::mem::replace(&mut self.following, true)) else {
            return Wants::default();
        };
        Wants { cmds: vec![Request::Follow { session, after: self.told }.into()], ..Wants::default() }
    }

    fn linked(&mut self, how: &Link) -> Wants {
        let line = match how {
            Link::Live if std::mem::take(&mut self.denied) => "the session can be read again".to_owned(),
            Link::Ended if self.sealed => return Wants::default(),
            Link::Ended => {
                self.over = true;
                return Wants {
                    lines: vec!["nothing more of the session".to_owned()],
                    end: Some(0),
                    ..Wants::default()
                };
            }
            Link::Connecting | Link::Live => return Wants::default(),
            Link::Missing { reason } if self.record.is_none() => {
                self.over = true;
                return Wants { lines: vec![format!("error: {reason}")], end: Some(1), ..Wants::default() };
            }
            Link::Lost { reason } => format!("the session cannot be read just now: {reason}"),
            Link::Missing { reason } | Link::Forbidden { reason } => {
                self.denied = true;
                format!("{reason}; the last lines of the Incident's status follow instead")
            }
        };
        Wants { lines: vec![line], ..Wants::default() }
    }

    /// What stands in for entries that may not be read.
    fn recent(&mut self, known: &Known) -> Vec<String> {
        let speaks = |incident: &&std::sync::Arc<crds::Incident>| {
            incident.status.as_ref().is_some_and(|status| status.session_id == self.id)
        };
        let incident = known.world.incidents.iter().map(|(_, incident)| incident).find(speaks);
        let Some(status) = incident.and_then(|incident| incident.status.as_ref()) else { return Vec::new() };
        let new = status.recent_entries.iter().filter(|line| line.seq > self.told);
        let lines = new.map(|line| format!("#{} {}: {}", line.seq, line.kind, line.text)).collect();
        self.told = status.recent_entries.iter().map(|line| line.seq).fold(self.told, i64::max);
        lines
    }
}

impl Log for SessionLog {
    fn begin(&mut self, _: &Known) -> Wants {
        self.start()
    }

    fn feed(&mut self, event: &FeedEvent, known: &Known) -> Wants {
        if self.over {
            return Wants::default();
        }
        if self.id.is_none() {
            return match event {
                FeedEvent::Applied { .. } | FeedEvent::Listed { of: Kind::Incidents } => self.find(known),
                _ => Wants::default(),
            };
        }
        let own = |session: &String| Some(session) == self.id.as_ref();
        match event {
            FeedEvent::Session { session, record } if own(session) => {
                match serde_json::from_value::<SessionRecord>(record.clone()) {
                    Ok(record) => self.recorded(&record, known),
                    Err(_) => Wants::default(),
                }
            }
            FeedEvent::Entries { session, entries, .. } if own(session) => {
                let lines = self.entries(entries, known);
                let again = if self.sealed { self.start().cmds } else { Vec::new() };
                Wants { lines, cmds: again, ..Wants::default() }
            }
            FeedEvent::Link { source: Source::Session(session), link } if own(session) => {
                let mut wants = self.linked(link);
                if self.denied {
                    wants.lines.extend(self.recent(known));
                }
                wants
            }
            FeedEvent::Applied { .. } if self.denied => Wants { lines: self.recent(known), ..Wants::default() },
            _ => Wants::default(),
        }
    }

    fn tick(&mut self, _: &Known) -> Wants {
        if self.over || !self.sealed {
            return Wants::default();
        }
        self.waited += 1;
        self.start()
    }

    fn waits(&self) -> bool {
        !self.over
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feed::Object;
    use crate::settings::Settings;
    use crate::testing::session::{self, SESSION, link, news, record};
    use crate::testing::{now, with_status};
    use crate::theme::ThemeName;
    use crate::world::World;

    struct Told {
        log: SessionLog,
        world: World,
        settings: Settings,
    }

    impl Told {
        fn new(target: SessionTarget) -> Self {
            let settings = Settings::new(ThemeName::Mono, false);
            Self { log: SessionLog::new(target), world: World::default(), settings }
        }

        fn feed(&mut self, event: &FeedEvent) -> Wants {
            self.world.apply(event, now());
            self.log.feed(event, &Known { world: &self.world, now: now(), settings: &self.settings })
        }
    }

    #[test]
    fn a_session_from_its_beginning_to_its_end() {
        let mut told = Told::new(SessionTarget::Id(SESSION.to_owned()));
        let row = |over| FeedEvent::Session { session: SESSION.into(), record: record(1, SESSION, over) };
        let wants = told.feed(&row(false));
        assert!(wants.lines.iter().any(|line| line.contains("shop/inc-7f3a")), "{:?}", wants.lines);
        assert_eq!(wants.cmds, [Request::Follow { session: SESSION.into(), after: 0 }.into()]);
        assert!(told.log.waits());
        let wants = told.feed(&news(session::running()));
        let text = wants.lines.join("\n");
        assert!(text.contains("$ docker ps -a") && text.contains("No such container"), "{text}");
        let wants = told.feed(&news(session::ended()));
        let text = wants.lines.join("\n");
        assert!(!text.contains("docker ps") && text.contains("sealed"), "{text}");
        assert_eq!(wants.cmds, [Request::Session { session: SESSION.into() }.into()]);
        let wants = told.feed(&row(true));
        assert!(wants.end == Some(0) && wants.lines[0].starts_with("Resolved ("), "{:?}", wants.lines);
    }

    #[test]
    fn an_incident_stands_for_its_session_and_its_status_for_what_may_not_be_read() {
        let mut told = Told::new(SessionTarget::Id("inc-7f3a".to_owned()));
        let object = |seq: i64| -> Object {
            let line = json!({"seq": seq, "kind": "tool_call", "at": "2026-01-28T12:00:55Z", "text": format!("docker ps {seq}")});
            with_status(
                "inc-7f3a",
                "tikv",
                "critical",
                &json!({"phase": "Running", "sessionId": SESSION, "recentEntries": [line]}),
            )
        };
        let wants = told.feed(&FeedEvent::Applied { object: object(4) });
        assert_eq!(wants.cmds, [Request::Session { session: SESSION.into() }.into()]);
        let wants = told.feed(&link(Link::Forbidden { reason: "you may not".into() }));
        assert_eq!(wants.lines.last().unwrap(), "#4 tool_call: docker ps 4");
        let wants = told.feed(&FeedEvent::Applied { object: object(5) });
        assert_eq!(wants.lines, ["#5 tool_call: docker ps 5"]);

        let mut told = Told::new(SessionTarget::Id("nobody".to_owned()));
        told.feed(&FeedEvent::Listing { of: Kind::Incidents });
        assert_eq!(told.feed(&FeedEvent::Listed { of: Kind::Incidents }).end, Some(1));
    }
}
