//! The attempts on an Incident: each is a session of its own.

use audit_client::SessionRecord;
use serde_json::Value;

/// The attempts that are known, the first one first.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    known: Vec<Attempt>,
    /// Whether they were asked for, and when how many were there.
    asked: Option<i64>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which.
    pub number: i64,
    /// Its session.
    pub session: String,
}

impl Attempts {
    /// What the audit API lists of an Incident's name. Another Incident may have had the name before: `uid` says which
    /// one is meant.
    pub fn listed(&mut self, records: &[Value], uid: Option<&str>) {
        let mut known: Vec<Attempt> = records
            .iter()
            .filter_map(|record| serde_json::from_value::<SessionRecord>(record.clone()).ok())
            .filter(|record| uid.is_none_or(|uid| record.new.incident_uid == uid))
            .map(|record| Attempt { number: record.new.attempt, session: record.new.id.as_str().to_owned() })
            .collect();
        known.sort_by_key(|attempt| attempt.number);
        self.known = known;
    }

    /// An attempt of which the Incident's status speaks.
    pub fn met(&mut self, number: i64, session: &str) {
        if !self.known.iter().any(|known| known.session == session) {
            self.known.push(Attempt { number, session: session.to_owned() });
            self.known.sort_by_key(|attempt| attempt.number);
        }
    }

    /// Whether they are to be asked for, now that the Incident is at this attempt.
    pub fn wants(&mut self, attempt: i64) -> bool {
        self.asked.replace(attempt) != Some(attempt)
    }

    /// The one so many after (or before) a session.
    #[must_use]
    pub fn beside(&self, session: &str, by: isize) -> Option<&Attempt> {
        let now = self.known.iter().position(|known| known.session == session)?;
        self.known.get(now.checked_add_signed(by)?)
    }

    /// The newest one.
    #[must_use]
    pub fn newest(&self) -> Option<&Attempt> {
        self.known.last()
    }

    /// As the header has it: ` (2 of 3)`, nothing if there is one only.
    #[must_use]
    pub fn label(&self, attempt: Option<i64>) -> String {
        match attempt {
            Some(attempt) if self.known.len() > 1 => format!(" (attempt {attempt} of {})", self.known.len()),
            _ => String::new(),
        }
    }
}
