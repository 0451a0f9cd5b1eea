//! What a person does to a session, and the ways through it that need a word.

use super::step::State as Stands;
use super::{State, ask};
use crate::act::Act;
use crate::ask::Ask;
use crate::feed::Request;
use crate::page::{Ctx, Purpose};

/// The most characters of a note.
const NOTE: usize = 4096;

impl State {
    /// To the next step of a kind, or a word that there is none.
    pub(super) fn none(
        &mut self,
        forward: bool,
        what: &str,
        ctx: &Ctx,
        fits: impl Fn(&Self, usize) -> bool,
    ) -> Vec<Ask> {
        if self.seek(forward, ctx, fits) {
            return Vec::new();
        }
        let here = if forward { "below" } else { "above" };
        vec![Ask::Say(format!("no further {what} {here}"))]
    }

    pub(super) fn failed(&self, index: usize) -> bool {
        self.layout.steps()[index].state(self.transcript.entries(), self.over()) == Stands::Bad
    }

    pub(super) fn fold_all(&mut self) -> Vec<Ask> {
        let said = match self.folds.turn() {
            Some(true) => "all steps are open",
            Some(false) => "all steps are folded",
            None => "what failed is open, what went well is folded",
        };
        vec![Ask::Say(said.to_owned())]
    }

    /// The attempt before or after this one.
    pub(super) fn attempt(&mut self, by: isize) -> Vec<Ask> {
        let Some(session) = self.subject.id.clone() else { return Vec::new() };
        match self.attempts.beside(&session, by).cloned() {
            Some(attempt) => {
                let mut asks = self.switch(attempt.session);
                asks.push(Ask::Say(format!("attempt {}", attempt.number)));
                asks
            }
            None => vec![Ask::Say(format!("there is no attempt {}", if by < 0 { "before" } else { "after" }))],
        }
    }

    pub(super) fn cancel(&self) -> Vec<Ask> {
        if self.over() {
            return vec![Ask::Complain("this attempt is over: there is nothing to cancel".to_owned())];
        }
        match (self.incident(), self.subject.attempt()) {
            (Ok((namespace, name)), Some(attempt)) => {
                vec![Ask::Confirm(vec![Act::Cancel { namespace, name, attempt }])]
            }
            (Ok(_), None) => vec![Ask::Complain("which attempt this is, is not known yet".to_owned())],
            (Err(why), _) => vec![why],
        }
    }

    pub(super) fn retry(&self) -> Vec<Ask> {
        let (namespace, name) = match self.incident() {
            Ok(name) => name,
            Err(why) => return vec![why],
        };
        let now = self.subject.incident.as_ref().map_or(1, |incident| incident.spec.attempt);
        let newest = self.attempts.newest().is_none_or(|newest| newest.number <= now);
        if newest && self.subject.attempt() == Some(now) && !self.over() {
            return vec![Ask::Complain(format!("attempt {now} is at work: cancel it first (x)"))];
        }
        vec![Ask::Confirm(vec![Act::Retry { namespace, name, attempt: now + 1 }])]
    }

    pub(super) fn note(&self) -> Vec<Ask> {
        match self.incident() {
            Ok(_) => vec![Ask::Prompt { purpose: Purpose::Note, text: String::new() }],
            Err(why) => vec![why],
        }
    }

    /// A note was typed.
    pub(super) fn noted(&self, text: &str, ctx: &Ctx) -> Result<Vec<Ask>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(vec![Ask::Say("nothing was said".to_owned())]);
        }
        if text.chars().count() > NOTE {
            return Err(format!("a note has {NOTE} characters at most"));
        }
        let Ok((namespace, name)) = self.incident() else { return Ok(vec![gone()]) };
        let first = self.subject.incident.as_ref().is_none_or(|incident| incident.spec.notes.is_empty());
        let act =
            Act::Note { namespace, name, text: text.to_owned(), author: ctx.settings.user.clone(), at: ctx.now, first };
        Ok(vec![Ask::Confirm(vec![act])])
    }

    /// The Incident that can be changed.
    fn incident(&self) -> Result<(String, String), Ask> {
        if self.subject.deleted {
            return Err(gone());
        }
        let known = self.subject.incident.as_ref().and_then(|_| self.subject.name());
        known.ok_or_else(|| Ask::Complain("its Incident is not known: it may be gone, or elsewhere".to_owned()))
    }

    /// Where the session is to be written to.
    pub(super) fn export(&self, _: &Ctx) -> Vec<Ask> {
        match &self.subject.id {
            Some(id) if !self.recent => vec![Ask::Prompt { purpose: Purpose::Export, text: format!("{id}.md") }],
            _ => vec![Ask::Complain("there is no session to write: its entries cannot be read".to_owned())],
        }
    }

    /// A file was named.
    pub(super) fn exported(&self, path: &str) -> Result<Vec<Ask>, String> {
        let path = path.trim().to_owned();
        let format = super::export::format(&path)?;
        let Some(session) = self.subject.id.clone() else { return Ok(Vec::new()) };
        Ok(vec![ask(Request::Export { session, path, format })])
    }
}

fn gone() -> Ask {
    Ask::Complain("the Incident was deleted: it cannot be changed any more".to_owned())
}
