//! Resources of one kind by UID, and what changed since somebody looked.
//!
//! A watch that begins anew lists everything again. What the new list does not name is gone at its end, and what it
//! names stays where it is: nothing is there twice, and nothing flickers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use kube::Resource;

/// A resource's UID.
pub type Uid = Arc<str>;

/// How many changes are remembered. Who is further behind looks at everything.
const REMEMBERED: usize = 4096;

/// What a table needs of a resource.
pub trait Named {
    /// Its UID; never empty in what an API server sent.
    fn uid(&self) -> &str;
    /// Its namespace.
    fn space(&self) -> &str;
    /// Its name.
    fn named(&self) -> &str;
}

impl<K: Resource> Named for K {
    fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    fn space(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }

    fn named(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }
}

/// Resources of one kind.
pub struct Table<K> {
    rows: HashMap<Uid, Arc<K>>,
    names: HashMap<(String, String), Uid>,
    /// While a list is read: what it named so far.
    seen: Option<HashSet<Uid>>,
    listed: bool,
    version: u64,
    changes: VecDeque<Uid>,
    /// Raised when everything is to be looked at again.
    epoch: u64,
}

/// What changed since a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These.
    Some(Vec<Uid>),
    /// Too many to tell.
    All,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            names: HashMap::new(),
            seen: None,
            listed: false,
            version: 0,
            changes: VecDeque::new(),
            epoch: 0,
        }
    }
}

impl<K> fmt::Debug for Table<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("rows", &self.rows.len()).field("version", &self.version).finish_non_exhaustive()
    }
}

impl<K: Named> Table<K> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the first list is complete.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// The one with this UID.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Arc<K>> {
        self.rows.get(uid)
    }

    /// The one with this name.
    #[must_use]
    pub fn named(&self, namespace: &str, name: &str) -> Option<&Arc<K>> {
        self.names.get(&(namespace.to_owned(), name.to_owned())).and_then(|uid| self.rows.get(uid))
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Uid, &Arc<K>)> {
        self.rows.iter()
    }

    /// Whether what comes is news, and not a list that is being read.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.listed && self.seen.is_none()
    }

    /// Raised with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What changed since a version that [`Self::version`] gave.
    #[must_use]
    pub fn since(&self, version: u64) -> Changes {
        let behind = self.version.saturating_sub(version);
        match usize::try_from(behind) {
            Ok(behind) if version >= self.epoch && behind <= self.changes.len() => {
                Changes::Some(self.changes.iter().skip(self.changes.len() - behind).cloned().collect())
            }
            _ => Changes::All,
        }
    }

    pub(super) fn listing(&mut self) {
        self.seen = Some(HashSet::new());
    }

    /// Takes one in; whether it is new.
    pub(super) fn applied(&mut self, object: Arc<K>) -> bool {
        let uid: Uid =
            self.rows.get_key_value(object.uid()).map_or_else(|| object.uid().into(), |(uid, _)| uid.clone());
        if let Some(seen) = &mut self.seen {
            seen.insert(uid.clone());
        }
        // Made anew under the same name before its deletion was seen: the old one is gone.
        let name = (object.space().to_owned(), object.named().to_owned());
        if let Some(old) = self.names.insert(name, uid.clone())
            && old != uid
        {
            self.rows.remove(&old);
            self.changed(old);
        }
        let new = self.rows.insert(uid.clone(), object).is_none();
        self.changed(uid);
        new
    }

    /// Takes one away; whether it was there.
    pub(super) fn deleted(&mut self, uid: &str) -> bool {
        let found = self.rows.remove_entry(uid);
        let there = found.is_some();
        if let Some((uid, object)) = found {
            let name = (object.space().to_owned(), object.named().to_owned());
            if self.names.get(&name) == Some(&uid) {
                self.names.remove(&name);
            }
            self.changed(uid);
        }
        there
    }

    pub(super) fn listed(&mut self) {
        if let Some(seen) = self.seen.take() {
            let gone: Vec<Uid> = self.rows.keys().filter(|uid| !seen.contains(*uid)).cloned().collect();
            for uid in gone {
                self.deleted(&uid);
            }
        }
        self.listed = true;
    }

    pub(super) fn forget(&mut self) {
        self.rows.clear();
        self.names.clear();
        self.changes.clear();
        self.seen = None;
        self.listed = false;
        self.version += 1;
        self.epoch = self.version;
    }

    fn changed(&mut self, uid: Uid) {
        if self.changes.len() >= REMEMBERED {
            self.changes.pop_front();
        }
        self.changes.push_back(uid);
        self.version += 1;
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(uid: &str, name: &str) -> Arc<ConfigMap> {
        let mut map = ConfigMap::default();
        map.metadata.uid = Some(uid.to_owned());
        map.metadata.name = Some(name.to_owned());
        Arc::new(map)
    }

    fn uids(table: &Table<ConfigMap>) -> Vec<String> {
        let mut uids: Vec<String> = table.iter().map(|(uid, _)| uid.to_string()).collect();
        uids.sort();
        uids
    }

    #[test]
    fn a_watch_that_begins_anew_doubles_nothing() {
        let mut table = Table::default();
        table.listing();
        table.applied(object("1", "a"));
        table.applied(object("2", "b"));
        assert!(!table.is_listed());
        table.listed();
        table.listing();
        table.applied(object("2", "b"));
        assert_eq!(uids(&table), ["1", "2"], "what is not named yet stays until the end");
        table.applied(object("3", "c"));
        table.listed();
        assert_eq!(uids(&table), ["2", "3"]);
        // A list that was cut short, then a whole one.
        table.listing();
        table.applied(object("2", "b"));
        table.listing();
        table.applied(object("2", "b"));
        table.applied(object("3", "c"));
        table.listed();
        assert_eq!(uids(&table), ["2", "3"]);
    }

    #[test]
    fn the_same_name_with_another_uid_replaces() {
        let mut table = Table::default();
        table.applied(object("1", "a"));
        table.applied(object("2", "a"));
        assert_eq!(uids(&table), ["2"]);
        table.deleted("1");
        assert_eq!(table.named("", "a").unwrap().uid(), "2");
        table.deleted("2");
        assert!(table.named("", "a").is_none() && table.is_empty());
    }

    #[test]
    fn changes_are_told_until_there_are_too_many() {
        let mut table = Table::default();
        table.applied(object("1", "a"));
        let version = table.version();
        assert_eq!(table.since(version), Changes::Some(Vec::new()));
        table.applied(object("2", "b"));
        table.deleted("1");
        assert_eq!(table.since(version), Changes::Some(vec!["2".into(), "1".into()]));
        for _ in 0..=REMEMBERED {
            table.applied(object("2", "b"));
        }
        assert_eq!(table.since(version), Changes::All);
        let version = table.version();
        table.forget();
        assert_eq!(table.since(version), Changes::All);
    }
}
