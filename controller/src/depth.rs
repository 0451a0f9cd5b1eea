//! How deep JSON is nested. What is written must be readable again: a reader stops at 128 levels, and between the
//! stranger who sent a value and the reader who shows it in a page of entries, some levels are put around it.

use serde_json::Value;

/// No value of a stranger is nested deeper.
pub const DEEPEST: usize = 64;

/// Whether a value is nested no deeper than [`DEEPEST`]. Looks no deeper than that.
#[must_use]
pub fn is_shallow(value: &Value) -> bool {
    fits(value, DEEPEST)
}

fn fits(value: &Value, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return false };
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, left)),
        Value::Object(fields) => fields.values().all(|field| fits(field, left)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeper_is_not_shallow() {
        let nested = |levels: usize| {
            let text = format!("{}{}", r#"{"a":["#.repeat(levels / 2), "]}".repeat(levels / 2));
            serde_json::from_str::<Value>(&text).unwrap()
        };
        assert!(is_shallow(&nested(DEEPEST)));
        assert!(!is_shallow(&nested(DEEPEST + 2)));
        assert!(is_shallow(&Value::Null));
    }
}
