//! Looks for texts in a stream of which nothing else is known: an HTTP request, an answer's event, a frame of a
//! supervisor.
//!
//! What is looked for is written by one call of the sender, so it is not looked for across two reads; a hold that is
//! not caught fails its test, and does not pass it.

use std::sync::{Arc, Mutex};

use super::{Hold, Inspect, Inspectors, Look};

/// In which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the controller.
    Out,
    /// To it.
    Back,
}

struct Rule {
    direction: Direction,
    /// One after the other, on whatever connections.
    texts: Vec<String>,
    /// How many of them came.
    found: usize,
    hold: Arc<Hold>,
}

/// What is to be held. Clones share it.
#[derive(Clone, Default)]
pub struct Rules(Arc<Mutex<Vec<Rule>>>);

impl Rules {
    /// Holds, once, what comes when all the texts have come, one after the other: from the last of them on if it goes
    /// out, behind it if it comes back.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn hold(&self, direction: Direction, texts: &[&str]) -> Arc<Hold> {
        let hold = Hold::armed(texts.join(" … "));
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.0.lock().unwrap().push(Rule { direction, texts, found: 0, hold: hold.clone() });
        hold
    }

    /// Forgets what was not caught.
    ///
    /// # Panics
    /// Never.
    pub fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    /// The inspectors of a new connection.
    #[must_use]
    pub fn inspectors(&self) -> Inspectors {
        let scan = |direction| Box::new(Scan { rules: self.clone(), direction });
        (scan(Direction::Out), scan(Direction::Back))
    }
}

struct Scan {
    rules: Rules,
    direction: Direction,
}

impl Inspect for Scan {
    fn look(&mut self, bytes: &[u8]) -> Look {
        let mut rules = self.rules.0.lock().unwrap();
        for index in 0..rules.len() {
            let rule = &mut rules[index];
            if rule.direction != self.direction {
                continue;
            }
            let (mut from, mut start) = (0, 0);
            while let Some(text) = rule.texts.get(rule.found) {
                let Some(at) = position(&bytes[from..], text.as_bytes()) else { break };
                start = from + at;
                from = start + text.len();
                rule.found += 1;
            }
            if rule.found == rule.texts.len() {
                let rule = rules.remove(index);
                let pass = if self.direction == Direction::Out { start } else { from };
                return Look { pass, hold: Some(rule.hold) };
            }
        }
        Look::pass(bytes.len())
    }
}

fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_one_after_the_other_and_held_once() {
        let rules = Rules::default();
        let _holds = [rules.hold(Direction::Back, &["rule: b", "delta"]), rules.hold(Direction::Out, &["DELETE /c"])];
        let (mut out, mut back) = rules.inspectors();
        assert_eq!(back.look(b"delta rule: a delta").pass, 19);
        assert_eq!(back.look(b"rule: b").pass, 7);
        let held = back.look(b"xx delta yy");
        assert_eq!((held.pass, held.hold.is_some()), (8, true));
        assert!(back.look(b"rule: b delta").hold.is_none());
        let held = out.look(b"aaDELETE /c/1");
        assert_eq!((held.pass, held.hold.is_some()), (2, true));
        assert_eq!(out.look(b"DELETE /c/1").pass, 11);
    }
}
