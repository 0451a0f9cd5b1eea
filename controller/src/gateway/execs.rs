//! The execs that were announced through this gateway. An exec's id is worth nothing elsewhere, and ids
//! from elsewhere are worth nothing here.

use std::collections::{HashMap, VecDeque};

use bollard::models::ExecConfig;

use super::inventory::Container;

/// How many announced execs are known; the oldest are forgotten.
const MOST: usize = 1024;

/// An announced exec.
#[derive(Clone, Debug)]
pub(super) struct Exec {
    /// Where it runs.
    pub(super) container: Container,
    /// What runs.
    pub(super) config: ExecConfig,
    /// Whether its last start was refused.
    pub(super) refused: bool,
}

/// The session's execs.
#[derive(Debug, Default)]
pub(super) struct Execs {
    known: HashMap<String, Exec>,
    order: VecDeque<String>,
}

impl Execs {
    /// A new one.
    pub(super) fn add(&mut self, id: String, exec: Exec) {
        if self.known.insert(id.clone(), exec).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// The one with this full id.
    #[must_use]
    pub(super) fn get(&self, id: &str) -> Option<Exec> {
        self.known.get(id).cloned()
    }

    /// Notes whether its start was refused.
    pub(super) fn mark(&mut self, id: &str, refused: bool) {
        if let Some(exec) = self.known.get_mut(id) {
            exec.refused = refused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_known_and_the_oldest_go_first() {
        let mut execs = Execs::default();
        for number in 0..=MOST {
            let exec = Exec { container: Container::default(), config: ExecConfig::default(), refused: false };
            execs.add(number.to_string(), exec);
        }
        assert!(execs.get("0").is_none());
        assert!(execs.get("1").is_some());
        assert!(execs.get(&MOST.to_string()).is_some());
    }
}
