//! The chain of links: keys, and what it knows of each session.

use std::collections::{HashMap, HashSet};

use super::report::{Place, Report};
use crate::audit::proof::hash::{Hash, link_message, possession_message};
use crate::audit::proof::hex;
use crate::audit::proof::key::{KeyId, PublicKey};
use crate::audit::proof::link::{AdoptLink, KeyLink, Link, LinkBody, PruneLink, SealLink, StartLink};
use crate::audit::proof::row::{KeyRow, LinkRow, Scope, body_bytes};
use crate::session::SessionId;

/// A key of the chain.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) public: PublicKey,
    /// Which one, from 1.
    pub(super) number: usize,
    link: i64,
}

/// What the chain knows of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The link that began it, or that took it up.
    pub(super) link: i64,
    /// That link's hash: what the first signed entry follows.
    pub(super) anchor: Hash0,
    /// Which key counted then.
    pub(super) key: usize,
    /// Which key counted when it was sealed.
    pub(super) last_key: Option<usize>,
    pub(super) start: Option<Box<StartLink>>,
    pub(super) adopted: Option<(i64, Hash)>,
    pub(super) seal: Option<(i64, i64, Hash)>,
    /// The link that is its tombstone.
    pub(super) pruned: Option<i64>,
    pub(super) read: bool,
    /// It was pruned after it was read.
    late: bool,
}

/// A hash that is zero by default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash0(pub(super) Hash);

impl Default for Hash0 {
    fn default() -> Self {
        Self(Hash::ZERO)
    }
}

pub(super) struct Links {
    keys: HashMap<KeyId, Key>,
    order: Vec<KeyId>,
    sessions: HashMap<SessionId, Known>,
    /// The last one's number.
    last: i64,
    /// Its hash, unless something is wrong with it: then the next one is not blamed for it.
    follow: Option<Hash>,
    epoch: i64,
    pins: Vec<PublicKey>,
    pin_seen: bool,
    witnesses: HashMap<i64, Vec<(String, Hash)>>,
}

impl Links {
    pub(super) fn new(pins: Vec<PublicKey>, witnesses: HashMap<i64, Vec<(String, Hash)>>) -> Self {
        Self {
            keys: HashMap::new(),
            order: Vec::new(),
            sessions: HashMap::new(),
            last: 0,
            follow: Some(Hash::ZERO),
            epoch: 0,
            pins,
            pin_seen: false,
            witnesses,
        }
    }

    pub(super) fn take(&mut self, row: &LinkRow, report: &mut Report) {
        let place = Place::Link(row.n);
        if row.n != self.last + 1 {
            if row.n <= self.last {
                report.fault(place, format!("it comes after link {}", self.last));
                return;
            }
            report.fault(place.clone(), missing(self.last + 1, row.n - 1));
            self.follow = None;
        }
        self.last = row.n;
        let body = body_bytes(&row.body);
        let link = serde_json::from_slice::<Link>(&body).ok();
        let Some(hash) = self.check(row, &body, link.as_ref(), report) else {
            self.follow = None;
            if let Some(link) = link {
                self.learn(link.body, row, Hash::ZERO, report);
            }
            return;
        };
        if self.follow.is_some_and(|follow| row.proof.prev.hash() != Some(follow)) {
            report.fault(place.clone(), format!("it does not follow link {}: its hash of that is another", row.n - 1));
        }
        self.follow = Some(hash);
        if row.proof.epoch != 0 {
            if row.proof.epoch < self.epoch {
                report.fault(
                    place.clone(),
                    format!("it is of epoch {}, and comes after one of epoch {}", row.proof.epoch, self.epoch),
                );
            }
            self.epoch = self.epoch.max(row.proof.epoch);
        }
        for (who, seen) in self.witnesses.remove(&row.n).unwrap_or_default() {
            if seen != hash {
                report.fault(place.clone(), format!("{who} has seen another one with this number ({seen})"));
            }
        }
        match link {
            Some(link) if link.n == row.n => self.learn(link.body, row, hash, report),
            Some(link) => report.fault(place, format!("its body says that it is link {}", link.n)),
            None => report.fault(place, "its body cannot be read by this version of operator"),
        }
    }

    /// The hash of a link whose signature fits.
    fn check(&self, row: &LinkRow, body: &[u8], link: Option<&Link>, report: &mut Report) -> Option<Hash> {
        let place = || Place::Link(row.n);
        let (Ok(id), Some(prev)) = (row.proof.key.parse::<KeyId>(), row.proof.prev.hash()) else {
            report.fault(place(), "its key's name or the hash of the one before it has not the right form");
            return None;
        };
        let own = match link.map(|link| &link.body) {
            Some(LinkBody::Key(key)) if key.id == id && (row.n == 1 || key.lost) => public_of(key),
            _ => None,
        };
        let public = match (self.keys.get(&id), own) {
            (Some(key), _) => key.public.clone(),
            (None, Some(own)) => own,
            (None, None) => {
                report.fault(place(), format!("it is signed by the key {id}, which is not in the chain"));
                return None;
            }
        };
        let message = link_message(row.n, row.proof.epoch, id, &prev, body);
        if !public.verifies(&message, &row.proof.signature.0) {
            report.fault(
                place(),
                format!("what it says is not what was signed (the signature of the key {id} does not fit)"),
            );
            return None;
        }
        if let (Some(current), Some(key)) = (self.order.last(), self.keys.get(&id))
            && *current != id
        {
            report.fault(place(), format!("it is signed by the key {id}, which link {} replaced", self.replaced(key)));
        }
        let hash = Hash::of(&message);
        if row.proof.hash.hash() != Some(hash) {
            report.fault(place(), "the hash that stands beside it is not its hash");
        }
        Some(hash)
    }

    /// The link by which the key after this one came.
    fn replaced(&self, key: &Key) -> i64 {
        self.order.get(key.number).and_then(|next| self.keys.get(next)).map_or(0, |next| next.link)
    }

    fn learn(&mut self, body: LinkBody, row: &LinkRow, hash: Hash, report: &mut Report) {
        match body {
            LinkBody::Key(key) => self.key(&key, row, report),
            LinkBody::Start(start) => self.start(start, row.n, hash, report),
            LinkBody::Adopt(adopt) => self.adopt(adopt, row.n, hash, report),
            LinkBody::Seal(seal) => self.seal(&seal, row.n, report),
            LinkBody::Prune(prune) => self.prune(prune, row.n, report),
        }
        if row.n == 1 && self.order.is_empty() {
            report.fault(Place::Link(1), "the chain does not begin with a key");
        }
    }

    fn key(&mut self, link: &KeyLink, row: &LinkRow, report: &mut Report) {
        let place = Place::Link(row.n);
        let Some(public) = public_of(link) else {
            report.fault(place, "the key that it brings is none, or not the one that it names");
            return;
        };
        let prev = row.proof.prev.hash().unwrap_or(Hash::ZERO);
        let possession = hex::decode(&link.possession).unwrap_or_default();
        if public.verifies(&possession_message(row.n, &prev, public.as_bytes()), &possession) {
            self.pin_seen |= self.pins.contains(&public);
        } else {
            report.fault(place.clone(), "nobody has shown to have the private half of the key that it brings");
        }
        let number = self.order.len() + 1;
        if link.replaces.as_ref() != self.order.last() || usize::try_from(link.number).ok() != Some(number) {
            report.fault(place.clone(), format!("the key that it brings does not follow key {}", number - 1));
        }
        if link.lost {
            let what = format!(
                "the key before it was lost, so nobody who had it vouches for the key {}: nothing later is proven unless that key is pinned with --public-key",
                link.id
            );
            if self.pins.contains(&public) {
                report.note(format!("{place}: {what}"));
            } else {
                report.fault(place.clone(), what);
            }
        }
        if self.keys.contains_key(&link.id) {
            report.fault(place, format!("the key {} was there already", link.id));
            return;
        }
        self.order.push(link.id);
        self.keys.insert(link.id, Key { public, number, link: row.n });
    }

    fn start(&mut self, start: StartLink, n: i64, hash: Hash, report: &mut Report) {
        let key = self.order.len();
        let known = self.sessions.entry(start.session.clone()).or_default();
        if known.link != 0 {
            report.fault(Place::Link(n), format!("session {} began by link {} already", start.session, known.link));
            return;
        }
        (known.link, known.anchor, known.key) = (n, Hash0(hash), key);
        known.start = Some(Box::new(start));
    }

    fn adopt(&mut self, adopt: AdoptLink, n: i64, hash: Hash, report: &mut Report) {
        if n > 1 && self.sessions.values().any(|known| known.start.is_some()) {
            report.fault(Place::Link(n), "it takes up unsigned sessions after signing began");
        }
        let key = self.order.len();
        for one in adopt.sessions {
            let known = self.sessions.entry(one.session).or_default();
            (known.link, known.anchor, known.key) = (n, Hash0(hash), key);
            known.adopted = Some((one.last_seq, one.digest));
        }
    }

    fn seal(&mut self, seal: &SealLink, n: i64, report: &mut Report) {
        let key = self.order.len();
        let known = self.sessions.entry(seal.session.clone()).or_default();
        if known.link == 0 {
            report.fault(
                Place::Link(n),
                format!("it seals session {}, of which no link says that it began", seal.session),
            );
        }
        if let Some((earlier, ..)) = known.seal {
            report.fault(Place::Link(n), format!("session {} was sealed by link {earlier} already", seal.session));
            return;
        }
        known.seal = Some((n, seal.last_seq, seal.last_hash));
        known.last_key = Some(key);
    }

    fn prune(&mut self, prune: PruneLink, n: i64, report: &mut Report) {
        if i64::try_from(prune.sessions.len()).ok() != Some(prune.count) {
            report.fault(Place::Link(n), "it counts other sessions than it names");
        }
        for one in prune.sessions {
            let known = self.sessions.entry(one.session.clone()).or_default();
            if known.link == 0 {
                report.fault(
                    Place::Link(n),
                    format!("it prunes session {}, of which no link says that it began", one.session),
                );
            }
            if let Some((_, seq, hash)) = known.seal
                && (seq, Some(hash)) != (one.last_seq, one.last_hash)
            {
                report.fault(
                    Place::Link(n),
                    format!(
                        "the session {} that was pruned had not the last entry with which it was sealed",
                        one.session
                    ),
                );
            }
            known.pruned = Some(n);
            known.late = known.read;
        }
    }

    /// What is known of a session that is read now.
    pub(super) fn read(&mut self, id: &SessionId) -> Option<Known> {
        let known = self.sessions.get_mut(id)?;
        known.read = true;
        Some(known.clone())
    }

    pub(super) fn known(&self, id: &SessionId) -> Option<&Known> {
        self.sessions.get(id)
    }

    pub(super) fn get_key(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(&id)
    }

    pub(super) fn knows(&self, id: &SessionId) -> bool {
        self.sessions.get(id).is_some_and(|known| known.link != 0)
    }

    pub(super) fn was_read(&self, id: &SessionId) -> bool {
        self.sessions.get(id).is_some_and(|known| known.read)
    }

    pub(super) fn is_sealed(&self, id: &SessionId) -> bool {
        self.sessions.get(id).is_some_and(|known| known.seal.is_some())
    }

    pub(super) fn is_pruned(&self, id: &SessionId) -> bool {
        self.sessions.get(id).is_some_and(|known| known.pruned.is_some())
    }

    pub(super) fn pruned_late(&self, id: &SessionId) -> bool {
        self.sessions.get(id).is_some_and(|known| known.late)
    }

    /// Sessions that should have been read and were not, in the order of their links.
    pub(super) fn absent(&self, scope: &Scope) -> Vec<(SessionId, i64)> {
        let asked: Option<HashSet<&SessionId>> = match scope {
            Scope::All => None,
            Scope::Sessions(ids) => Some(ids.iter().collect()),
            Scope::Since(_) => Some(HashSet::new()),
        };
        let mut absent: Vec<_> = self
            .sessions
            .iter()
            .filter(|(id, known)| {
                known.link != 0
                    && !known.read
                    && known.pruned.is_none()
                    && asked.as_ref().is_none_or(|asked| asked.contains(id))
            })
            .map(|(id, known)| (id.clone(), known.link))
            .collect();
        absent.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        absent
    }

    /// After the last link.
    pub(super) fn finish(&mut self, table: &[KeyRow], report: &mut Report) {
        let mut unseen: Vec<_> = std::mem::take(&mut self.witnesses).into_iter().collect();
        unseen.sort_by_key(|(n, _)| *n);
        let last = self.last;
        for (n, seen) in unseen.into_iter().filter(|(n, _)| *n > last) {
            for (who, _) in seen {
                report.fault(
                    Place::Link(n),
                    format!("{who} has seen it, and the chain ends with link {last}: its tail was cut"),
                );
            }
        }
        if last == 0 {
            report.fault(
                Place::Trail,
                "there is no chain of links: nothing was ever signed (operator migrate makes the key)",
            );
        }
        if !self.pins.is_empty() && !self.pin_seen {
            let names: Vec<String> = self.pins.iter().map(|key| key.id().to_string()).collect();
            report.fault(
                Place::Link(1),
                format!(
                    "the chain's keys are {}, and the pinned one ({}) is not among them",
                    self.key_names().join(", "),
                    names.join(", ")
                ),
            );
        }
        self.compare(table, report);
    }

    /// The table of keys is a copy.
    fn compare(&self, table: &[KeyRow], report: &mut Report) {
        for row in table {
            let key = row.id.parse::<KeyId>().ok().and_then(|id| self.keys.get(&id));
            let same = key.is_some_and(|key| key.public.to_hex() == row.public_key && key.link == row.link);
            if !same {
                report.fault(
                    Place::Trail,
                    format!("the key {} in the table of keys is not the one that the chain has", row.id),
                );
            }
        }
        if !table.is_empty() {
            for id in self.order.iter().filter(|id| table.iter().all(|row| row.id != id.to_string())) {
                report.fault(Place::Trail, format!("the key {id} of the chain is missing in the table of keys"));
            }
        }
    }

    pub(super) fn pruned(&self) -> u64 {
        self.sessions.values().filter(|known| known.pruned.is_some()).count() as u64
    }

    pub(super) fn key_names(&self) -> Vec<String> {
        self.order.iter().map(ToString::to_string).collect()
    }

    pub(super) fn is_pinned(&self) -> bool {
        !self.pins.is_empty()
    }
}

/// The key that a link brings, if it is the one that it names.
fn public_of(link: &KeyLink) -> Option<PublicKey> {
    let key = PublicKey::from_slice(&hex::decode(&link.public_key)?).ok()?;
    (key.id() == link.id).then_some(key)
}

/// What stands before this one and is not there.
pub(super) fn missing(first: i64, last: i64) -> String {
    if first == last {
        format!("number {first} is missing before it")
    } else {
        format!("numbers {first} to {last} are missing before it")
    }
}
