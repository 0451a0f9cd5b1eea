//! The protocol of Redis, version 2: as much of it as commands and their answers need.

use memchr::memchr;
use serde_json::{Value, json};

/// How deep answers may be nested.
const DEEPEST: usize = 16;
/// Values that one answer may have.
const MOST_VALUES: usize = 10_000;
/// The longest line: of a status, an error or a number.
const LONGEST_LINE: usize = 64 << 10;

/// A command with its arguments.
pub(super) fn command(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The answer at the beginning of the bytes, and how many of them it has; nothing while it is not complete. Of more than
/// `longest` bytes no answer is waited for.
pub(super) fn answer(bytes: &[u8], longest: usize) -> Result<Option<(Value, usize)>, String> {
    let mut read = Reading { bytes, at: 0, longest, values: 0 };
    match read.value(0) {
        Ok(value) => Ok(Some((value, read.at))),
        Err(Stop::More) if bytes.len() >= longest => Err(too_long(longest)),
        Err(Stop::More) => Ok(None),
        Err(Stop::Wrong(error)) => Err(error),
    }
}

fn too_long(longest: usize) -> String {
    format!("the answer is longer than {longest} bytes")
}

enum Stop {
    /// It goes on behind what is there.
    More,
    Wrong(String),
}

impl Stop {
    fn wrong(what: &str) -> Self {
        Self::Wrong(format!("this is no answer of a Redis: {what}"))
    }
}

struct Reading<'a> {
    bytes: &'a [u8],
    at: usize,
    longest: usize,
    values: usize,
}

impl<'a> Reading<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        self.values += 1;
        if depth > DEEPEST || self.values > MOST_VALUES {
            return Err(Stop::Wrong(format!("the answer has more than {MOST_VALUES} values, or is nested too deeply")));
        }
        let kind = *self.bytes.get(self.at).ok_or(Stop::More)?;
        if !b"+-:$*".contains(&kind) {
            return Err(Stop::wrong(&format!("it begins with {:?}", char::from(kind))));
        }
        self.at += 1;
        let line = self.line()?;
        match kind {
            b'+' => Ok(text(line)),
            b'-' => Ok(json!({ "error": text(line) })),
            b':' => number(line).map(Value::from),
            b'$' => match number(line)? {
                -1 => Ok(Value::Null),
                length => self.bulk(length),
            },
            _ => match number(line)? {
                -1 => Ok(Value::Null),
                length => self.array(length, depth),
            },
        }
    }

    fn bulk(&mut self, length: i64) -> Result<Value, Stop> {
        let length = usize::try_from(length).map_err(|_| Stop::wrong("a length is negative"))?;
        if length > self.longest {
            return Err(Stop::Wrong(too_long(self.longest)));
        }
        let end = self.at + length;
        let all = self.bytes.get(self.at..end + 2).ok_or(Stop::More)?;
        let (all, end_of_line) = all.split_at(length);
        if end_of_line != b"\r\n" {
            return Err(Stop::wrong("a text is longer than it says"));
        }
        self.at = end + 2;
        Ok(text(all))
    }

    fn array(&mut self, length: i64, depth: usize) -> Result<Value, Stop> {
        let length = usize::try_from(length).map_err(|_| Stop::wrong("a length is negative"))?;
        // Nothing is made ready for what is only announced.
        if length > MOST_VALUES {
            return Err(Stop::Wrong(format!("the answer has more than {MOST_VALUES} values, or is nested too deeply")));
        }
        (0..length).map(|_| self.value(depth + 1)).collect::<Result<Vec<_>, _>>().map(Value::Array)
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let Some(end) = memchr(b'\n', &rest[..rest.len().min(LONGEST_LINE)]) else {
            return Err(if rest.len() < LONGEST_LINE { Stop::More } else { Stop::wrong("a line does not end") });
        };
        self.at += end + 1;
        rest[..end].strip_suffix(b"\r").ok_or_else(|| Stop::wrong("a line does not end as it should"))
    }
}

fn text(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes).into_owned())
}

fn number(line: &[u8]) -> Result<i64, Stop> {
    let number = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
    number.ok_or_else(|| Stop::wrong("a number is none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Result<Option<(Value, usize)>, String> {
        answer(bytes, 1 << 20)
    }

    #[test]
    fn answers_are_read() {
        for (bytes, value) in [
            (&b"+PONG\r\n"[..], json!("PONG")),
            (b":-5\r\n", json!(-5)),
            (b"$5\r\nhe\r\nl\r\n", json!("he\r\nl")),
            (b"$-1\r\n", json!(null)),
            (b"*-1\r\n", json!(null)),
            (b"$0\r\n\r\n", json!("")),
            (b"-NOAUTH Authentication required.\r\n", json!({"error": "NOAUTH Authentication required."})),
            (b"*3\r\n:1\r\n*1\r\n$1\r\na\r\n-ERR x\r\n", json!([1, ["a"], {"error": "ERR x"}])),
            (b"$2\r\n\xff\xfe\r\n", json!("\u{fffd}\u{fffd}")),
        ] {
            assert_eq!(all(bytes), Ok(Some((value, bytes.len()))));
            for end in 0..bytes.len() {
                assert_eq!(all(&bytes[..end]), Ok(None), "{end} bytes of {bytes:?}");
            }
        }
        assert_eq!(all(b"+a\r\n+b\r\n"), Ok(Some((json!("a"), 4))));
    }

    #[test]
    fn what_is_no_redis_is_said() {
        for (bytes, said) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "this is no answer of a Redis: it begins with 'H'"),
            (b":x\r\n", "this is no answer of a Redis: a number is none"),
            (b"$3\r\nabcde\r\n", "this is no answer of a Redis: a text is longer than it says"),
            (b"$-2\r\n", "this is no answer of a Redis: a length is negative"),
            (b"+a\n", "this is no answer of a Redis: a line does not end as it should"),
            (b"%1\r\n", "this is no answer of a Redis: it begins with '%'"),
        ] {
            assert_eq!(all(bytes), Err(said.into()));
        }
    }

    #[test]
    fn what_is_too_much_is_not_waited_for() {
        assert_eq!(all(b"$100000000\r\n"), Err("the answer is longer than 1048576 bytes".into()));
        assert!(all(b"*1000000000\r\n").unwrap_err().contains("more than 10000 values"));
        assert!(all(b"$9223372036854775807\r\n").is_err());
        assert!(all(&b"*1\r\n".repeat(100)).unwrap_err().contains("nested too deeply"));
        assert!(all(&b"*100\r\n".repeat(10)).is_ok());
        assert!(all(&[b'+'; 70_000]).unwrap_err().contains("does not end"));
        assert_eq!(answer(b"*2\r\n$3\r\nabc\r\n", 13), Err("the answer is longer than 13 bytes".into()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = all(&bytes);
        }

        #[test]
        fn nothing_like_an_answer_makes_it_panic(text in "([+:$*-]-?[0-9]{0,3}\r\n|a|\r\n){0,30}") {
            if let Ok(Some((_, used))) = all(text.as_bytes()) {
                prop_assert!(used <= text.len());
            }
        }

        #[test]
        fn a_command_is_read_back(words in prop::collection::vec(".{0,10}", 1..5)) {
            let bytes = command(&words);
            prop_assert_eq!(all(&bytes), Ok(Some((json!(words), bytes.len()))));
        }
    }
}
