//! Knows of the protocol of Postgres just enough to tell which function of the store is called, and with what.
//!
//! sqlx prepares a statement once a connection and executes it by name from then on: so the texts of the statements
//! are remembered, and what is held is the `Bind` that carries the parameters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Hold, Inspect, Inspectors, Look};

/// A call of one of the store's functions.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name: `append_entry`, `seal_session`, `begin_session`, `update_session` and so on.
    pub function: String,
    /// The parameters as they are sent.
    pub parameters: Vec<Option<Vec<u8>>>,
}

impl Call {
    /// The entry that is appended, whichever parameter carries it.
    #[must_use]
    pub fn entry(&self) -> Option<Value> {
        let documents = self.parameters.iter().flatten().filter(|bytes| bytes.first() == Some(&b'{'));
        documents
            .filter_map(|bytes| serde_json::from_slice::<Value>(bytes).ok())
            .find(|value| value["kind"].is_string() && value["seq"].is_number())
    }

    /// A parameter as text.
    #[must_use]
    pub fn text(&self, index: usize) -> String {
        let bytes = self.parameters.get(index).cloned().flatten().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// On which side of the commit a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the server sees it.
    Before,
    /// When it is committed, and the caller does not know.
    After,
}

type Rule = (Box<dyn Fn(&Call) -> bool + Send>, Side, Arc<Hold>);

/// What is to be held. Clones share it.
#[derive(Clone, Default)]
pub struct Rules(Arc<Mutex<Vec<Rule>>>);

impl Rules {
    /// Holds the first call that matches, once.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn hold(&self, what: &str, side: Side, matches: impl Fn(&Call) -> bool + Send + 'static) -> Arc<Hold> {
        let hold = Hold::armed(what);
        self.0.lock().unwrap().push((Box::new(matches), side, hold.clone()));
        hold
    }

    /// Forgets what was not caught.
    ///
    /// # Panics
    /// Never.
    pub fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    fn take(&self, call: &Call) -> Option<(Side, Arc<Hold>)> {
        let mut rules = self.0.lock().unwrap();
        let index = rules.iter().position(|(matches, ..)| matches(call))?;
        let (_, side, hold) = rules.remove(index);
        Some((side, hold))
    }

    /// The inspectors of a new connection.
    #[must_use]
    pub fn inspectors(&self) -> Inspectors {
        let answer = Arc::default();
        let out = Out { rules: self.clone(), greeted: false, cleared: false, functions: HashMap::new(), answer };
        let back = Back { answer: out.answer.clone() };
        (Box::new(out), Box::new(back))
    }
}

/// The answer that is to be held on this connection.
type Answer = Arc<Mutex<Option<Arc<Hold>>>>;

struct Out {
    rules: Rules,
    /// Whether the start of the connection, which is framed otherwise, is over.
    greeted: bool,
    /// Whether the next message was held already.
    cleared: bool,
    functions: HashMap<Vec<u8>, String>,
    answer: Answer,
}

/// The start-up message's version, three.
const START: u32 = 0x0003_0000;

impl Inspect for Out {
    fn look(&mut self, bytes: &[u8]) -> Look {
        if !self.greeted {
            let (Some(length), Some(code)) = (number(bytes, 0), number(bytes, 4)) else { return Look::pass(0) };
            self.greeted = code >= START && code >> 16 < 1000;
            return Look::pass(whole(bytes, length as usize));
        }
        let Some(length) = number(bytes, 1) else { return Look::pass(0) };
        let length = whole(bytes, length as usize + 1);
        if length == 0 {
            return Look::pass(0);
        }
        let message = &bytes[5..length];
        match bytes[0] {
            b'P' => self.parse(message),
            b'B' if !std::mem::take(&mut self.cleared) => {
                let wanted = self.bind(message).and_then(|call| self.rules.take(&call));
                match wanted {
                    Some((Side::Before, hold)) => {
                        self.cleared = true;
                        return Look { pass: 0, hold: Some(hold) };
                    }
                    Some((Side::After, hold)) => *self.answer.lock().unwrap() = Some(hold),
                    None => {}
                }
            }
            _ => {}
        }
        Look::pass(length)
    }
}

impl Out {
    fn parse(&mut self, message: &[u8]) {
        let mut parts = message.splitn(3, |byte| *byte == 0);
        let (Some(name), Some(text)) = (parts.next(), parts.next()) else { return };
        let text = String::from_utf8_lossy(text);
        let function = text.strip_prefix("SELECT ").and_then(|rest| rest.split_once('(')).map_or("", |(name, _)| name);
        self.functions.insert(name.to_vec(), function.trim().to_owned());
    }

    fn bind(&self, message: &[u8]) -> Option<Call> {
        let mut rest = Bytes(message);
        rest.text()?;
        let function = self.functions.get(rest.text()?).filter(|name| !name.is_empty())?.clone();
        for _ in 0..rest.short()? {
            rest.short()?;
        }
        let mut parameters = Vec::new();
        for _ in 0..rest.short()? {
            // A negative length is NULL.
            let length = i32::from_be_bytes(rest.take(4)?.try_into().ok()?);
            parameters.push(match usize::try_from(length) {
                Ok(length) => Some(rest.take(length)?.to_vec()),
                Err(_) => None,
            });
        }
        Some(Call { function, parameters })
    }
}

struct Back {
    answer: Answer,
}

impl Inspect for Back {
    fn look(&mut self, bytes: &[u8]) -> Look {
        let mut answer = self.answer.lock().unwrap();
        if answer.is_none() {
            return Look::pass(bytes.len());
        }
        // Committed when the server says that it is ready for the next.
        let mut at = 0;
        while let Some(length) = number(&bytes[at..], 1) {
            if bytes[at] == b'Z' {
                return Look { pass: 0, hold: answer.take() };
            }
            at += length as usize + 1;
            if at > bytes.len() {
                break;
            }
        }
        Look::pass(0)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The length, if so much is there.
fn whole(bytes: &[u8], length: usize) -> usize {
    if bytes.len() < length { 0 } else { length }
}

/// A reader of a message's parts.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(length)?;
        self.take(1)?;
        Some(text)
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn bind(statement: &str, parameters: &[&[u8]]) -> Vec<u8> {
        let mut body = [b"\0", statement.as_bytes(), b"\0\0\x01\0\x01\0"].concat();
        body.push(u8::try_from(parameters.len()).unwrap());
        for parameter in parameters {
            body.extend(u32::try_from(parameter.len()).unwrap().to_be_bytes());
            body.extend(*parameter);
        }
        message(b'B', &body)
    }

    #[test]
    fn a_call_is_known_by_its_prepared_statement_and_held_once() {
        let rules = Rules::default();
        let hold = rules.hold("a turn", Side::Before, |call| {
            call.function == "append_entry" && call.entry().is_some_and(|entry| entry["kind"] == "turn")
        });
        let (mut out, mut back) = rules.inspectors();
        let start = [&8u32.to_be_bytes()[..], &START.to_be_bytes()].concat();
        assert_eq!(out.look(&start).pass, 8);
        let parse = message(b'P', b"s1\0SELECT append_entry($1, $2, $3)\0\0\0");
        assert_eq!((out.look(&parse[..9]).pass, out.look(&parse).pass), (0, parse.len()));
        let other = bind("s1", &[b"id", b"1", br#"{"seq":1,"kind":"control"}"#]);
        assert!(out.look(&other).hold.is_none());
        let turn = bind("s1", &[b"id", b"1", br#"{"seq":1,"kind":"turn"}"#]);
        assert!(Arc::ptr_eq(&out.look(&turn).hold.unwrap(), &hold));
        let again = out.look(&turn);
        assert_eq!((again.pass, again.hold.is_none()), (turn.len(), true), "what was let go goes on");
        assert_eq!(back.look(b"abc").pass, 3);
    }

    #[test]
    fn an_answer_is_held_whole() {
        let rules = Rules::default();
        let _hold = rules.hold("a row", Side::After, |call| call.function == "begin_session");
        let (mut out, mut back) = rules.inspectors();
        out.look(&[&8u32.to_be_bytes()[..], &START.to_be_bytes()].concat());
        out.look(&message(b'P', b"\0SELECT begin_session($1)\0\0\0"));
        let call = bind("", &[b"id"]);
        assert_eq!(out.look(&call).pass, call.len());
        let answer = [message(b'2', b""), message(b'Z', b"I")].concat();
        let first = back.look(&answer[..5]);
        assert_eq!((first.pass, first.hold.is_none()), (0, true));
        let whole = back.look(&answer);
        assert_eq!((whole.pass, whole.hold.is_some()), (0, true));
        assert_eq!(back.look(&answer).pass, answer.len());
    }
}
