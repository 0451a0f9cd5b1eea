//! What came, as JSON or as text.

use crds::probe::ReadAs;
use memchr::memchr3_iter;
use serde_json::Value;

use crate::printable;

/// Values that one answer in JSON may have: a value takes a hundred times the bytes of `0,`.
const MOST_VALUES: usize = 50_000;

/// Reads bytes. An error is a sentence.
pub(super) fn read(bytes: &[u8], kind: ReadAs) -> Result<Value, String> {
    match kind {
        ReadAs::Text => Ok(Value::String(String::from_utf8_lossy(bytes).into_owned())),
        ReadAs::Json => json(bytes),
    }
}

/// Reads JSON. An error is a sentence.
pub(super) fn json(bytes: &[u8]) -> Result<Value, String> {
    if bytes.trim_ascii().is_empty() {
        return Err("the answer is not JSON: it is empty".into());
    }
    // Each value but the first comes behind one of these.
    if memchr3_iter(b',', b'[', b'{', bytes).count() > MOST_VALUES {
        return Err(format!("the answer has more than {MOST_VALUES} values"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let begins = printable::short_line(&String::from_utf8_lossy(&bytes[..bytes.len().min(40)]), 40);
        format!("the answer is not JSON: {error}; it begins with {begins:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bytes_become_a_value() {
        assert_eq!(read(b" {\"a\": [1, 2.5]} ", ReadAs::Json), Ok(json!({"a": [1, 2.5]})));
        assert_eq!(read(b"ok\xff\n", ReadAs::Text), Ok(json!("ok\u{fffd}\n")));
        let said = read(b"<html>\x1b[31mno</html>", ReadAs::Json).unwrap_err();
        assert!(said.starts_with("the answer is not JSON: expected value"), "{said}");
        assert!(said.contains("<html>"), "{said}");
        assert!(!said.contains('\x1b'), "{said}");
    }

    #[test]
    fn what_would_not_fit_into_memory_is_refused() {
        let many = format!("[{}0]", "0,".repeat(MOST_VALUES));
        assert_eq!(json(many.as_bytes()).unwrap_err(), "the answer has more than 50000 values");
        let deep = "[".repeat(10_000);
        assert!(json(deep.as_bytes()).unwrap_err().contains("not JSON"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = json(&bytes);
        }
    }
}
