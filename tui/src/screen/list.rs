//! Rows in an order, one of which is selected: what the list screens share.
//!
//! The selection follows the UID and not the row: what is added above it does not move the cursor onto something else.
//! Only what changed is sorted in anew, and only the rows on the screen are ever built.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::keymap::Action;
use crate::world::{Changes, Named, Table, Uid};

/// Rows by a sort key, which has to tell any two rows apart.
#[derive(Debug)]
pub struct List<Q> {
    rows: Vec<(Q, Uid)>,
    keys: HashMap<Uid, Q>,
    reversed: bool,
    selected: Option<Uid>,
    index: usize,
    offset: usize,
    /// Whether a person chose the row; until then the first one is selected.
    chosen: bool,
    version: Option<u64>,
}

impl<Q> Default for List<Q> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            keys: HashMap::new(),
            reversed: false,
            selected: None,
            index: 0,
            offset: 0,
            chosen: false,
            version: None,
        }
    }
}

impl<Q: Ord + Clone> List<Q> {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The selected row's UID.
    #[must_use]
    pub fn selected(&self) -> Option<&Uid> {
        self.selected.as_ref()
    }

    /// The rows on a screen of this height, and which of them is selected.
    #[must_use]
    pub fn page(&self, height: usize) -> (&[(Q, Uid)], Option<usize>) {
        let offset = self.offset_for(height);
        let end = (offset + height).min(self.rows.len());
        let cursor = self.index.checked_sub(offset).filter(|row| *row < height && self.selected.is_some());
        (&self.rows[offset..end], cursor)
    }

    /// The number of the first row on the screen.
    #[must_use]
    pub fn offset_for(&self, height: usize) -> usize {
        let last = self.rows.len().saturating_sub(height.max(1));
        let lowest = (self.index + 1).saturating_sub(height.max(1));
        self.offset.clamp(lowest, self.index.max(lowest)).min(last)
    }

    /// Whether the order is the other way round.
    #[must_use]
    pub fn is_reversed(&self) -> bool {
        self.reversed
    }

    /// Everything is to be sorted anew; `reversed` says which way round.
    pub fn resort(&mut self, reversed: bool) {
        self.reversed = reversed;
        self.version = None;
    }

    /// Brings the rows up to date with a table. `key` answers none for a row that is not to be shown. Whether anything
    /// changed.
    pub fn sync<K: Named>(&mut self, table: &Table<K>, key: impl Fn(&K) -> Option<Q>) -> bool {
        let changed = match self.version {
            Some(version) if version == table.version() => return false,
            Some(version) => match table.since(version) {
                // Sorting all at once is cheaper than moving rows one by one.
                Changes::Some(changed) if changed.len() < 512 => Some(changed),
                _ => None,
            },
            None => None,
        };
        self.version = Some(table.version());
        if let Some(changed) = changed {
            for uid in changed {
                self.put(&uid, table.get(&uid).and_then(|object| key(object)));
            }
        } else {
            self.keys = table.iter().filter_map(|(uid, object)| Some((uid.clone(), key(object)?))).collect();
            self.rows = self.keys.iter().map(|(uid, key)| (key.clone(), uid.clone())).collect();
            let reversed = self.reversed;
            self.rows.sort_unstable_by(|a, b| ordered(reversed, &a.0, &b.0));
        }
        if !table.is_listed() && !self.chosen {
            self.index = 0;
            self.selected = None;
        }
        self.settle();
        true
    }

    fn put(&mut self, uid: &Uid, key: Option<Q>) {
        if let Some(old) = self.keys.remove(uid)
            && let Ok(index) = self.find(&old)
        {
            self.rows.remove(index);
        }
        if let Some(key) = key {
            let index = self.find(&key).unwrap_or_else(|index| index);
            self.rows.insert(index, (key.clone(), uid.clone()));
            self.keys.insert(uid.clone(), key);
        }
    }

    fn find(&self, key: &Q) -> Result<usize, usize> {
        self.rows.binary_search_by(|(row, _)| ordered(self.reversed, row, key))
    }

    /// The cursor onto the selected UID; if that is gone, onto what stands in its row now.
    fn settle(&mut self) {
        let found = self.selected.as_ref().and_then(|uid| self.keys.get(uid)).and_then(|key| self.find(key).ok());
        self.index = found.unwrap_or(self.index).min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(self.index).map(|(_, uid)| uid.clone());
    }

    /// Moves the cursor; whether the action is one that does.
    pub fn act(&mut self, action: Action, height: usize) -> bool {
        let last = self.rows.len().saturating_sub(1);
        let (half, page) = ((height / 2).max(1), height.saturating_sub(1).max(1));
        let index = match action {
            Action::Down => self.index + 1,
            Action::Up => self.index.saturating_sub(1),
            Action::Top => 0,
            Action::Bottom => last,
            Action::HalfDown => self.index + half,
            Action::HalfUp => self.index.saturating_sub(half),
            Action::PageDown => self.index + page,
            Action::PageUp => self.index.saturating_sub(page),
            _ => return false,
        };
        self.offset = self.offset_for(height);
        self.index = index.min(last);
        self.offset = self.offset_for(height);
        self.selected = self.rows.get(self.index).map(|(_, uid)| uid.clone());
        self.chosen = true;
        true
    }
}

fn ordered<Q: Ord>(reversed: bool, a: &Q, b: &Q) -> Ordering {
    if reversed { b.cmp(a) } else { a.cmp(b) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::Subject;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::feed::{FeedEvent, Kind, Object};
    use crate::testing::{now, subject};
    use crate::world::World;

    fn key(subject: &Subject) -> Option<String> {
        let name = subject.named();
        (!name.contains('x')).then(|| name.to_owned())
    }

    fn put(world: &mut World, name: &str) {
        world.apply(&FeedEvent::Applied { object: subject(name, &json!({})) }, now());
    }

    fn names(list: &List<String>) -> Vec<&str> {
        list.rows.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_cursor_follows_the_uid() {
        let (mut world, mut list) = (World::default(), List::default());
        world.apply(&FeedEvent::Listing { of: Kind::Subjects }, now());
        put(&mut world, "m");
        list.sync(&world.subjects, key);
        put(&mut world, "c");
        list.sync(&world.subjects, key);
        assert_eq!(list.selected().map(AsRef::as_ref), Some("uid-c"), "while the list is read: the first");
        world.apply(&FeedEvent::Listed { of: Kind::Subjects }, now());
        list.sync(&world.subjects, key);
        list.act(Action::Down, 10);
        for name in ["a", "b", "z", "x"] {
            put(&mut world, name);
        }
        assert!(list.sync(&world.subjects, key) && !list.sync(&world.subjects, key));
        assert_eq!((names(&list), list.index), (vec!["a", "b", "c", "m", "z"], 3));
        world.apply(&FeedEvent::Deleted { of: Kind::Subjects, uid: "uid-m".to_owned() }, now());
        list.sync(&world.subjects, key);
        assert_eq!(list.selected().map(AsRef::as_ref), Some("uid-z"), "what is in its row now");
        list.resort(true);
        list.sync(&world.subjects, key);
        assert_eq!((names(&list), list.index), (vec!["z", "c", "b", "a"], 0));
    }

    proptest! {
        #[test]
        fn sorted_in_is_the_same_as_sorted_anew(steps in prop::collection::vec((0u8..12, any::<bool>(), 0usize..8), 0..60), reversed: bool) {
            let (mut world, mut list) = (World::default(), List::<String>::default());
            list.resort(reversed);
            world.apply(&FeedEvent::Listed { of: Kind::Subjects }, now());
            for (name, there, height) in steps {
                let name = char::from(b'a' + name).to_string();
                if there {
                    let Object::Subject(object) = subject(&name, &json!({})) else { unreachable!() };
                    world.apply(&FeedEvent::Applied { object: Object::Subject(Arc::clone(&object)) }, now());
                } else {
                    world.apply(&FeedEvent::Deleted { of: Kind::Subjects, uid: format!("uid-{name}") }, now());
                }
                list.sync(&world.subjects, key);
                let action = [Action::Down, Action::Up, Action::Bottom, Action::Top, Action::PageDown, Action::PageUp, Action::HalfUp, Action::HalfDown][height];
                list.act(action, height);
                let (page, cursor) = list.page(height);
                prop_assert!(page.len() <= height && cursor.is_none_or(|row| row < page.len()));
                prop_assert!(height == 0 || list.is_empty() || cursor.is_some());
            }
            let mut anew = List::<String>::default();
            anew.resort(reversed);
            anew.sync(&world.subjects, key);
            prop_assert_eq!(names(&anew), names(&list));
        }
    }
}
