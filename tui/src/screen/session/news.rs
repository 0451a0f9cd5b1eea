//! What comes from the feed, and what the world says of the session.

use std::sync::Arc;

use audit_client::SessionRecord;

use super::digest::{self, Digest, What};
use super::transcript::Keep;
use super::{Errand, State, ask};
use crate::ask::Ask;
use crate::feed::{Entry, FeedEvent, Kind, Link, Place, Request, Source};
use crate::page::Ctx;
use crate::settings::Scope;
use crate::text;
use crate::world::Named as _;

impl State {
    /// Something came.
    pub(super) fn heard(&mut self, event: &FeedEvent, _: &Ctx) -> Vec<Ask> {
        match event {
            FeedEvent::Entries { session, entries, answers } if self.is(session) => match answers {
                Some(place) => self.paged(*place, entries),
                None => self.written(entries),
            },
            FeedEvent::Session { session, record } if self.is(session) => {
                if let Ok(record) = serde_json::from_value::<SessionRecord>(record.clone()) {
                    let (attempt, uid) = (record.new.attempt, record.new.incident_uid.clone());
                    self.uid.get_or_insert_with(|| uid.into());
                    self.attempts.met(attempt, session);
                    self.subject.record = Some(record);
                }
                Vec::new()
            }
            FeedEvent::Sessions { namespace, name, records } => {
                let own = self.subject.name();
                if own.is_some_and(|own| (&own.0, &own.1) == (namespace, name)) {
                    self.attempts.listed(records, self.uid.as_deref());
                }
                Vec::new()
            }
            FeedEvent::Link { source: Source::Session(session), link } if self.is(session) => self.linked(link),
            _ => Vec::new(),
        }
    }

    fn is(&self, session: &str) -> bool {
        self.subject.id.as_deref() == Some(session)
    }

    fn written(&mut self, entries: &[Entry]) -> Vec<Ask> {
        // What stood in for entries goes once there are some.
        if std::mem::take(&mut self.recent) {
            self.transcript.replace(Vec::new());
        }
        let keep = if self.reading.follow { Keep::Last } else { Keep::First };
        self.transcript.written(entries.to_vec(), keep);
        if self.transcript.is_sealed() {
            self.following = false;
        }
        Vec::new()
    }

    fn paged(&mut self, place: Place, entries: &[Entry]) -> Vec<Ask> {
        if let Some((_, errand)) = self.errand.take_if(|(seq, _)| place == Place::After(*seq - 1)) {
            return self.run(errand, entries.first());
        }
        if std::mem::take(&mut self.recent) {
            self.transcript.replace(Vec::new());
            self.transcript.jump(super::END);
        }
        self.transcript.page(place, entries.to_vec());
        self.follow().into_iter().collect()
    }

    fn linked(&mut self, link: &Link) -> Vec<Ask> {
        match link {
            Link::Lost { .. } | Link::Forbidden { .. } | Link::Missing { .. } => {
                self.transcript.give_up();
                self.hunting = None;
                match self.errand.take() {
                    // What is here is better than nothing.
                    Some((_, errand)) => self.run(errand, None),
                    None => Vec::new(),
                }
            }
            Link::Live if self.recent || !self.transcript.has_begun() && !self.transcript.is_waiting() => self.begin(),
            Link::Connecting | Link::Live | Link::Ended => Vec::new(),
        }
    }

    /// Finds out which Incident and which session it is.
    pub(super) fn recognise(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let mut asks = Vec::new();
        if self.uid.is_none()
            && let Some(id) = &self.subject.id
        {
            let speaks = |incident: &crds::Incident| {
                incident.status.as_ref().is_some_and(|status| status.session_id.as_ref() == Some(id))
            };
            self.uid = ctx.world.incidents.iter().find(|(_, incident)| speaks(incident)).map(|(uid, _)| uid.clone());
        }
        if let Some(name) = self.named.as_ref().filter(|_| self.uid.is_none()) {
            let named = ctx.world.incidents.iter().find(|(_, incident)| incident.named() == name);
            self.uid = named.map(|(uid, _)| uid.clone());
        }
        let Some(uid) = self.uid.clone() else { return asks };
        let Some(incident) = ctx.world.incidents.get(&uid) else {
            self.subject.deleted = ctx.world.is_listed(Kind::Incidents) && self.was_in(&ctx.settings.scope);
            return asks;
        };
        self.subject.deleted = false;
        if self.subject.incident.as_ref().is_none_or(|known| !Arc::ptr_eq(known, incident)) {
            self.subject.incident = Some(incident.clone());
        }
        let status = incident.status.as_ref();
        if let (Some(attempt), Some(session)) =
            (status.and_then(|status| status.attempt), status.and_then(|status| status.session_id.clone()))
        {
            self.attempts.met(attempt, &session);
            if self.subject.id.is_none() {
                self.subject.id = Some(session);
                asks.extend(self.begin());
            }
        }
        if let Some((namespace, name)) = self.subject.name()
            && self.attempts.wants(incident.spec.attempt)
        {
            asks.push(ask(Request::Sessions { namespace, name }));
        }
        asks
    }

    /// Whether the Incident was seen, and would be if it were there.
    fn was_in(&self, scope: &Scope) -> bool {
        let Some(incident) = &self.subject.incident else { return false };
        scope.namespace().is_none_or(|namespace| incident.space() == namespace)
    }

    /// While the entries cannot be read, the last lines of the Incident's status are shown instead.
    pub(super) fn stand_in(&mut self, ctx: &Ctx) {
        let denied = matches!(self.link(ctx), Some(Link::Forbidden { .. } | Link::Missing { .. } | Link::Lost { .. }));
        let nothing = self.recent || self.transcript.entries().is_empty();
        if !denied || !nothing {
            return;
        }
        let lines = self.subject.status().map(|status| status.recent_entries.as_slice()).unwrap_or_default();
        let last = lines.last().map_or(0, |line| line.seq);
        if self.recent && last == self.transcript.end() {
            return;
        }
        let recent = lines.iter().map(|line| Digest {
            seq: line.seq,
            at: line.at.0,
            what: What::Recent { kind: text::one_line(&line.kind), text: text::one_line(&line.text) },
            summary: None,
        });
        let recent: Vec<Digest> = recent.collect();
        self.transcript.replace(recent);
        self.recent = true;
    }

    /// Fetches what the chosen step printed, if not all of it is here.
    pub(super) fn fetch(&mut self, errand: Errand) -> Vec<Ask> {
        let Some(seq) = self.missing() else { return self.run(errand, None) };
        let Some(session) = self.subject.id.clone() else { return self.run(errand, None) };
        self.errand = Some((seq, errand));
        let place = Place::After(seq - 1);
        vec![ask(Request::Page { session, place, limit: 1 })]
    }

    fn run(&mut self, errand: Errand, whole: Option<&Entry>) -> Vec<Ask> {
        match errand {
            Errand::Read => self.read(whole),
            Errand::Copy => self.copy_output(whole),
        }
    }
}

/// An entry as it stands on record.
pub(super) fn whole(session: &str, entry: &Entry) -> Option<audit_client::EntryBody> {
    digest::stored(session, entry).body()
}
