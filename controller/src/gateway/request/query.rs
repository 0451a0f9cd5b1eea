//! The query of a request: decoded once, each parameter at most once, each of them known.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::gateway::refusal::Refusal;

/// A path in a container may be 4 KiB, each byte written as three.
const LONGEST_QUERY: usize = 16 * 1024;

/// The parameters that were not read yet.
#[derive(Debug)]
pub(super) struct Query {
    left: BTreeMap<String, String>,
}

impl Query {
    pub(super) fn of(query: Option<&str>) -> Result<Self, Refusal> {
        let query = query.unwrap_or_default();
        if query.len() > LONGEST_QUERY {
            return Err(Refusal::bad(format!("the query is longer than {LONGEST_QUERY} bytes")));
        }
        let mut left = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if left.contains_key(&name) {
                return Err(Refusal::bad(format!("the parameter {:?} is there twice", super::shortened(&name))));
            }
            left.insert(name, value);
        }
        Ok(Self { left })
    }

    /// A text; the empty one is as good as absent.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.left.remove(name).filter(|value| !value.is_empty())
    }

    /// A boolean as the clients write it, false if it is not there.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        Ok(self.choice(name)?.unwrap_or(false))
    }

    /// A boolean as the clients write it, if it is there.
    pub(super) fn choice(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.left.remove(name).as_deref() {
            None => Ok(None),
            Some("1" | "true" | "True") => Ok(Some(true)),
            Some("" | "0" | "false" | "False") => Ok(Some(false)),
            Some(other) => Err(Refusal::bad(format!(
                "the parameter {name:?} must be true or false, not {:?}",
                super::shortened(other)
            ))),
        }
    }

    /// A number.
    pub(super) fn number<N: FromStr>(&mut self, name: &str) -> Result<Option<N>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // `parse` takes a plus sign, which no client writes.
        let number = text.parse().ok().filter(|_| !text.starts_with('+'));
        let wrong = || Refusal::bad(format!("the parameter {name:?} is not a number that makes sense"));
        number.map(Some).ok_or_else(wrong)
    }

    /// A text of which every character is allowed by a rule, and which is not too long.
    pub(super) fn word(
        &mut self,
        name: &str,
        longest: usize,
        allowed: impl Fn(char) -> bool,
    ) -> Result<Option<String>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if text.len() > longest || !text.chars().all(allowed) {
            return Err(Refusal::bad(format!("the parameter {name:?} has characters that have no meaning there")));
        }
        Ok(Some(text))
    }

    /// Whatever was not read is not known.
    pub(super) fn done(self) -> Result<(), Refusal> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::forbidden(format!(
                "the parameter {:?} is not known to this gateway for this call: leave it out",
                super::shortened(name)
            ))),
        }
    }
}

/// Form encoding undone, once. What it hides must be text without control characters.
fn decoded(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let high = rest.next().and_then(hex_digit);
                let low = rest.next().and_then(hex_digit);
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(Refusal::bad("the query has a % that is not followed by two hex digits"));
                };
                bytes.push(high << 4 | low);
            }
            byte if byte.is_ascii_graphic() => bytes.push(byte),
            _ => return Err(Refusal::bad("the query has a byte that must be written with %")),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| Refusal::bad("the query is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(Refusal::bad("the query has a control character"));
    }
    Ok(text)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_once() {
        let mut query = Query::of(Some("a=%2525+x%2Bb&b=&c")).unwrap();
        assert_eq!(query.text("a").as_deref(), Some("%25 x+b"));
        assert_eq!(query.choice("b"), Ok(Some(false)));
        assert_eq!(query.choice("c"), Ok(Some(false)));
        assert_eq!(query.done(), Ok(()));
    }

    #[test]
    fn what_is_ambiguous_or_unknown_is_refused() {
        let long = "a".repeat(20_000);
        for query in ["a=1&a=1", "a=1&%61=2", "a=%", "a=%4", "a=%zz", "a=%00", "a=%0a", "a=%ff", "a=\u{e4}", &long] {
            assert!(Query::of(Some(query)).is_err(), "{query}");
        }
        let refusal = Query::of(Some("x=1")).unwrap().done().unwrap_err();
        assert!(refusal.reason.contains("\"x\""), "{refusal}");
    }

    #[test]
    fn numbers_and_booleans_are_what_clients_write() {
        let mut query = Query::of(Some("a=-1&b=%2B1&c=1.5&d=99999999999&e=yes")).unwrap();
        assert_eq!(query.number::<i32>("a"), Ok(Some(-1)));
        for name in ["b", "c", "d"] {
            assert!(query.number::<i32>(name).is_err(), "{name}");
        }
        assert!(query.flag("e").is_err());
    }
}
