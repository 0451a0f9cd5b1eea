//! Walks the chains of a trail and names each place where they do not hold.
//!
//! Nothing is believed but signatures: what a row, a table or a file says of itself is compared with
//! what follows from the bytes that were signed. Records come as a stream and are forgotten again; what
//! is kept is some two hundred bytes for each session of the installation.

mod entries;
mod links;
mod report;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use futures::StreamExt as _;

use super::hash::Hash;
use super::key::PublicKey;
use super::row::{Header, KeyRow, Record, Records, Scope, Totals};
use crate::audit::AuditError;
use crate::session::SessionId;
use entries::SessionWalk;
use links::Links;

pub use report::{Fault, Place, Report};

/// What somebody outside the store has seen of it: the head of the chains in an Incident's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Who, for people.
    pub who: String,
    /// The session, and of its entries the last one that was seen.
    pub entry: Option<(SessionId, i64, Hash)>,
    /// The last link that was seen.
    pub link: Option<(i64, Hash)>,
}

/// What is expected of a trail besides that it holds together.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Keys of which one must have signed it. Without any, the keys are taken from the trail itself.
    pub keys: Vec<PublicKey>,
    /// What others have seen of it.
    pub witnesses: Vec<Witness>,
}

/// Reads all records and says what does not hold.
///
/// # Errors
/// Only when the records cannot be read.
pub async fn verify(mut records: Records, scope: Scope, expected: Expected) -> Result<Report, AuditError> {
    let mut verifier = Verifier::new(scope, expected);
    while let Some(record) = records.next().await {
        verifier.take(record?);
    }
    Ok(verifier.finish())
}

/// The state of a verification.
struct Verifier {
    scope: Scope,
    links: Links,
    session: Option<SessionWalk>,
    /// Sealed by their last entry, and no link said so when they were read.
    unlinked_seals: Vec<(SessionId, i64)>,
    /// Sessions that were read, and the faults of those that may have been pruned meanwhile.
    suspects: Vec<(SessionId, Vec<Fault>)>,
    table: Vec<KeyRow>,
    header: Option<Header>,
    end: Option<Totals>,
    entry_witnesses: HashMap<SessionId, Vec<(String, i64, Hash)>>,
    report: Report,
}

impl Verifier {
    fn new(scope: Scope, expected: Expected) -> Self {
        let mut entry_witnesses: HashMap<_, Vec<_>> = HashMap::new();
        let mut link_witnesses: HashMap<_, Vec<_>> = HashMap::new();
        for Witness { who, entry, link } in expected.witnesses {
            if let Some((n, hash)) = link {
                link_witnesses.entry(n).or_default().push((who.clone(), hash));
            }
            if let Some((session, seq, hash)) = entry {
                entry_witnesses.entry(session).or_default().push((who, seq, hash));
            }
        }
        Self {
            scope,
            links: Links::new(expected.keys, link_witnesses),
            session: None,
            unlinked_seals: Vec::new(),
            suspects: Vec::new(),
            table: Vec::new(),
            header: None,
            end: None,
            entry_witnesses,
            report: Report::default(),
        }
    }

    fn take(&mut self, record: Record) {
        if self.end.is_some() {
            self.report.fault(Place::Trail, "there is more after the end of the export");
            self.end = None;
        }
        match record {
            Record::Export(header) => {
                self.scope = header.scope.clone();
                self.header = Some(header);
            }
            Record::Key(key) => self.table.push(key),
            Record::Link(row) => {
                self.end_session();
                self.report.links += 1;
                self.links.take(&row, &mut self.report);
            }
            Record::Session(row) => {
                self.end_session();
                self.report.sessions += 1;
                let witnesses = self.entry_witnesses.remove(&row.id).unwrap_or_default();
                self.session = Some(SessionWalk::new(&row, &mut self.links, witnesses));
            }
            Record::Entry(row) => {
                self.report.entries += 1;
                match &mut self.session {
                    Some(walk) => walk.take(&row, &self.links),
                    None => self
                        .report
                        .fault(Place::Entry(row.session.clone(), row.seq), "it stands in the file without its session"),
                }
            }
            Record::End(totals) => {
                self.end_session();
                self.end = Some(totals);
            }
        }
    }

    fn end_session(&mut self) {
        let Some(walk) = self.session.take() else { return };
        let id = walk.id().clone();
        let end = walk.finish(&self.links);
        self.report.unsigned += end.unsigned;
        if let Some(seq) = end.unlinked_seal {
            self.unlinked_seals.push((id.clone(), seq));
        }
        if !end.faults.is_empty() {
            // Bounded all the same: a trail of which everything is broken need not be kept whole.
            if self.suspects.len() < report::MOST {
                self.suspects.push((id, end.faults));
            } else {
                self.report.more(end.faults.len());
            }
        }
    }

    fn finish(mut self) -> Report {
        self.end_session();
        for (id, faults) in std::mem::take(&mut self.suspects) {
            // Removed while it was read, and by a link that says so.
            if self.links.pruned_late(&id) {
                continue;
            }
            for fault in faults {
                self.report.push(fault);
            }
        }
        for (id, seq) in std::mem::take(&mut self.unlinked_seals) {
            if !self.links.is_sealed(&id) && !self.links.is_pruned(&id) {
                self.report.fault(
                    Place::Entry(id, seq),
                    "it is the last one of its session, and no link says so: the chain of links was cut behind it",
                );
            }
        }
        self.absent();
        self.links.finish(&self.table, &mut self.report);
        self.totals();
        self.report.finish(&self.scope, &self.links);
        self.report
    }

    /// Sessions that the chain knows and that were not there.
    fn absent(&mut self) {
        for (id, n) in self.links.absent(&self.scope) {
            self.report.fault(
                Place::Session(id),
                format!("link {n} says that it began; it is gone, and no tombstone says that it was pruned"),
            );
        }
        let mut witnesses: Vec<_> = std::mem::take(&mut self.entry_witnesses).into_iter().collect();
        witnesses.sort_by(|a, b| a.0.cmp(&b.0));
        for (id, seen) in witnesses {
            let asked = match &self.scope {
                Scope::All => true,
                Scope::Sessions(ids) => ids.contains(&id),
                Scope::Since(_) => false,
            };
            if asked && !self.links.is_pruned(&id) && !self.links.knows(&id) {
                for (who, seq, _) in seen {
                    self.report.fault(
                        Place::Session(id.clone()),
                        format!("{who} has seen its entry {seq}; neither it nor a link about it is there"),
                    );
                }
            }
        }
        if let Scope::Sessions(ids) = &self.scope {
            for id in ids {
                if !self.links.was_read(id) && !self.links.knows(id) {
                    self.report.fault(Place::Session(id.clone()), "neither it nor a link about it is there");
                }
            }
        }
    }

    /// A file says itself how much is in it.
    fn totals(&mut self) {
        let Some(header) = &self.header else { return };
        if header.version != super::export::VERSION {
            let version = header.version;
            self.report.fault(
                Place::Trail,
                format!("the export has version {version}, and this operator reads {}", super::export::VERSION),
            );
        }
        let found = Totals { links: self.report.links, sessions: self.report.sessions, entries: self.report.entries };
        match self.end {
            None => self.report.fault(Place::Trail, "the export has no end: the file was cut"),
            Some(said) if said != found => self.report.fault(
                Place::Trail,
                format!(
                    "the export says that it has {} links, {} sessions and {} entries; there are {}, {} and {}",
                    said.links, said.sessions, said.entries, found.links, found.sessions, found.entries
                ),
            ),
            Some(_) => {}
        }
    }
}
