//! One session's entries.

use jiff::Timestamp;
use serde_json::Value;

use super::links::{Known, Links, missing};
use super::report::{Fault, Place};
use crate::audit::codec::decode_any;
use crate::audit::proof::hash::{Hash, entry_message};
use crate::audit::proof::key::KeyId;
use crate::audit::proof::row::{Derived, EntryRow, Proof, SessionRow, body_bytes};
use crate::audit::{AuditError, StoredEntry};
use crate::session::SessionId;

/// How many faults of one session are told.
const MOST: usize = 100;

/// What became of a session.
pub(super) struct End {
    pub(super) faults: Vec<Fault>,
    /// Entries that nobody signed.
    pub(super) unsigned: u64,
    /// The number of its last entry, which seals it, though no link says so (yet).
    pub(super) unlinked_seal: Option<i64>,
}

pub(super) struct SessionWalk {
    id: SessionId,
    known: Option<Known>,
    last: i64,
    /// Hash of the last entry, unless something is wrong with it: then the next is not blamed for it.
    follow: Option<Hash>,
    /// Of the unsigned entries.
    digest: Hash,
    unsigned: u64,
    epoch: i64,
    key: usize,
    sealed: bool,
    witnesses: Vec<(String, i64, Hash)>,
    faults: Vec<Fault>,
}

impl SessionWalk {
    pub(super) fn new(row: &SessionRow, links: &mut Links, witnesses: Vec<(String, i64, Hash)>) -> Self {
        let known = links.read(&row.id).filter(|known| known.link != 0);
        let follow = known.as_ref().map(|known| known.anchor.0).filter(|anchor| *anchor != Hash::ZERO);
        let key = known.as_ref().map_or(0, |known| known.key);
        let mut walk = Self {
            id: row.id.clone(),
            known,
            last: 0,
            follow,
            digest: Hash::ZERO,
            unsigned: 0,
            epoch: 0,
            key,
            sealed: false,
            witnesses,
            faults: Vec::new(),
        };
        walk.compare(row);
        walk
    }

    pub(super) fn id(&self) -> &SessionId {
        &self.id
    }

    fn fault(&mut self, seq: i64, what: impl Into<String>) {
        self.push(Place::Entry(self.id.clone(), seq), what);
    }

    fn push(&mut self, place: Place, what: impl Into<String>) {
        if self.faults.len() < MOST {
            self.faults.push(Fault::new(place, what));
        }
    }

    /// The session's row with the link that began it.
    fn compare(&mut self, row: &SessionRow) {
        let place = Place::Session(self.id.clone());
        let Some(known) = &self.known else {
            return self
                .push(place, "no link of the chain says that it began: it was slipped in, or the chain was cut");
        };
        if let Some(n) = known.pruned {
            let what = format!("link {n} says that it was pruned, and it is there");
            return self.push(place, what);
        }
        let Some(start) = known.start.as_deref() else { return };
        let said = SessionRow {
            id: start.session.clone(),
            incident_uid: start.incident_uid.clone(),
            incident_namespace: start.incident_namespace.clone(),
            incident_name: start.incident_name.clone(),
            attempt: start.attempt,
        };
        if said != *row {
            let what = format!(
                "its row says attempt {} on the Incident {}/{} ({}), and link {} says attempt {} on {}/{} ({})",
                row.attempt,
                row.incident_namespace,
                row.incident_name,
                row.incident_uid,
                known.link,
                said.attempt,
                said.incident_namespace,
                said.incident_name,
                said.incident_uid
            );
            self.push(place, what);
        }
    }

    pub(super) fn take(&mut self, row: &EntryRow, links: &Links) {
        let seq = row.seq;
        if row.session != self.id {
            return self.fault(seq, format!("it is said to be of session {}", row.session));
        }
        if seq != self.last + 1 {
            if seq <= self.last {
                return self.fault(seq, format!("it comes after entry {}", self.last));
            }
            self.fault(seq, missing(self.last + 1, seq - 1));
            self.follow = None;
        }
        self.last = seq;
        let body = body_bytes(&row.body);
        let written = decode_any(&body, None);
        self.own(seq, &written);
        let adopted = self.known.as_ref().and_then(|known| known.adopted);
        match (&row.proof, adopted) {
            (None, Some((last, digest))) if seq <= last => self.unsigned(seq, &body, last, digest),
            (None, _) => {
                self.follow = None;
                self.fault(seq, "it is not signed");
            }
            (Some(proof), _) => match self.check(seq, &body, proof, links) {
                Some(hash) => {
                    if self.follow.is_some_and(|follow| proof.prev.hash() != Some(follow)) {
                        let what = if seq == 1 {
                            "it does not follow the link that began its session".to_owned()
                        } else {
                            format!("it does not follow entry {}: its hash of that is another", seq - 1)
                        };
                        self.fault(seq, what);
                    }
                    self.follow = Some(hash);
                    self.seen(seq, hash);
                }
                None => self.follow = None,
            },
        }
        if let (Some(derived), Ok(written)) = (&row.derived, &written) {
            self.derived(seq, derived, written);
        }
        self.sealed = written.is_ok_and(|written| written.is_seal());
    }

    /// A body says whose it is.
    fn own(&mut self, seq: i64, written: &Result<StoredEntry, AuditError>) {
        match written {
            Ok(written) if written.seq != seq || written.session != self.id => {
                let what = format!("its body is that of entry {} of session {}", written.seq, written.session);
                self.fault(seq, what);
            }
            Ok(_) => {}
            Err(_) => self.fault(seq, "its body is no entry"),
        }
    }

    fn unsigned(&mut self, seq: i64, body: &[u8], last: i64, digest: Hash) {
        self.unsigned += 1;
        self.digest = self.digest.then(body);
        if seq == last && self.digest != digest {
            let what = format!("entries 1 to {last} are from before signing began, and not as they stood then");
            self.push(Place::Session(self.id.clone()), what);
        }
    }

    /// The hash of an entry whose signature fits.
    fn check(&mut self, seq: i64, body: &[u8], proof: &Proof, links: &Links) -> Option<Hash> {
        let (Ok(id), Some(prev)) = (proof.key.parse::<KeyId>(), proof.prev.hash()) else {
            self.fault(seq, "its key's name or the hash of the one before it has not the right form");
            return None;
        };
        let Some(key) = links.get_key(id) else {
            self.fault(seq, format!("it is signed by the key {id}, which is not in the chain"));
            return None;
        };
        let message = entry_message(self.id.as_str(), seq, proof.epoch, id, &prev, body);
        if !key.public.verifies(&message, &proof.signature.0) {
            self.fault(
                seq,
                format!("what it says is not what was signed (the signature of the key {id} does not fit)"),
            );
            return None;
        }
        let number = key.number;
        let last_key = links.known(&self.id).and_then(|known| known.last_key);
        if number < self.key {
            self.fault(seq, format!("it is signed by the key {id}, which had been replaced"));
        } else if last_key.is_some_and(|last| number > last) {
            self.fault(seq, format!("it is signed by the key {id}, which came after its session was sealed"));
        }
        self.key = self.key.max(number);
        let hash = Hash::of(&message);
        if proof.hash.hash() != Some(hash) {
            self.fault(seq, "the hash that stands beside it is not its hash");
        }
        if proof.epoch < self.epoch {
            self.fault(seq, format!("it is of epoch {}, and comes after one of epoch {}", proof.epoch, self.epoch));
        }
        self.epoch = self.epoch.max(proof.epoch);
        Some(hash)
    }

    /// What others have seen of it.
    fn seen(&mut self, seq: i64, hash: Hash) {
        let others: Vec<_> = self.witnesses.extract_if(.., |(_, at, _)| *at == seq).collect();
        for (who, _, seen) in others {
            if seen != hash {
                self.fault(seq, format!("{who} has seen another one with this number ({seen})"));
            }
        }
    }

    fn derived(&mut self, seq: i64, derived: &Derived, written: &StoredEntry) {
        let wrong = [
            ("kind", derived.kind != written.kind),
            ("at", micros(derived.at) != micros(written.at)),
            ("data", !same(&derived.data, &written.data)),
        ];
        for (column, _) in wrong.into_iter().filter(|(_, wrong)| *wrong) {
            self.fault(seq, format!("its column {column:?} is not what its body says"));
        }
    }

    /// After the last entry.
    pub(super) fn finish(mut self, links: &Links) -> End {
        let known = links.known(&self.id).cloned().unwrap_or_default();
        let last = self.last;
        let place = Place::Session(self.id.clone());
        let mut unlinked_seal = None;
        match known.seal {
            // That it is there at all was said.
            _ if known.pruned.is_some() => {}
            Some((n, seq, _)) if last < seq => {
                let what = format!(
                    "{}: link {n} says that it was sealed with entry {seq}, and the last one is {last}",
                    if last + 1 == seq {
                        format!("entry {seq} is missing")
                    } else {
                        format!("entries {} to {seq} are missing", last + 1)
                    }
                );
                self.push(place.clone(), what);
            }
            Some((n, seq, _)) if last > seq => {
                self.fault(
                    seq + 1,
                    format!("it comes after entry {seq}, with which link {n} says that the session was sealed"),
                );
            }
            Some((n, seq, hash)) if self.follow.is_some_and(|follow| follow != hash) => {
                self.fault(seq, format!("it is not the one with which link {n} says that the session was sealed"));
            }
            None if self.sealed && self.unsigned < u64::try_from(last).unwrap_or(0) => unlinked_seal = Some(last),
            Some(_) | None => {}
        }
        if let Some((seq, _)) = known.adopted
            && last < seq
        {
            self.push(place.clone(), format!("it had {seq} entries when signing began, and has {last}"));
        }
        for (who, seq, _) in std::mem::take(&mut self.witnesses).into_iter().filter(|(_, seq, _)| *seq > last) {
            self.push(
                place.clone(),
                format!("{who} has seen its entry {seq}, and the last one is {last}: its tail was cut"),
            );
        }
        End { faults: self.faults, unsigned: self.unsigned, unlinked_seal }
    }
}

fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// Whether the database's document is that of the body: U+0000 stands as U+2400 there, and a number has
/// another spelling.
fn same(kept: &Value, written: &Value) -> bool {
    match (kept, written) {
        (Value::String(kept), Value::String(written)) => *kept == written.replace('\0', "\u{2400}"),
        (Value::Number(kept), Value::Number(written)) => kept == written || kept.as_f64() == written.as_f64(),
        (Value::Array(kept), Value::Array(written)) => {
            kept.len() == written.len() && kept.iter().zip(written).all(|(kept, written)| same(kept, written))
        }
        (Value::Object(kept), Value::Object(written)) => {
            kept.len() == written.len()
                && written.iter().all(|(name, value)| {
                    kept.get(&name.replace('\0', "\u{2400}")).is_some_and(|found| same(found, value))
                })
        }
        (kept, written) => kept == written,
    }
}
