//! JSON as it was written, and strictly: a key twice is an error, wherever it stands.
//!
//! Go takes the last of two equal keys and compares names without case, so that two readers of one text may
//! see two different calls. Here there is only one way to read it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};

/// A JSON value whose objects have each key once.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Flag(bool),
    /// A number that is whole and fits.
    Whole(i64),
    /// Any other number; nothing that is understood has one.
    Number,
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Whether it says nothing: what Go's JSON writes for a field that was never set.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Null | Self::Flag(false) | Self::Whole(0) => true,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Object(fields) => fields.iter().all(|(_, value)| value.is_zero()),
            Self::Flag(true) | Self::Whole(_) | Self::Number => false,
        }
    }

    /// What it is, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "a boolean",
            Self::Whole(_) => "a number",
            Self::Number => "a number that is not whole or too large",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Flag(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Number, Json::Whole))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((key, value)) = entries.next_entry::<String, Json>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("the field {key:?} is there twice")));
            }
            fields.push((key, value));
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Json, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_twice_is_an_error_however_deep() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":[{"b":{"c":1,"\u0063":2}}]}"#] {
            assert!(read(text).is_err_and(|error| error.contains("twice")), "{text}");
        }
        assert!(read(r#"{"a":1,"A":{"a":1}}"#).is_ok());
    }

    #[test]
    fn deep_nesting_and_half_a_text_are_errors() {
        for text in ["[".repeat(100_000), format!("{}{}", "[".repeat(200), "]".repeat(200)), "{".into(), "1 2".into()] {
            assert!(read(&text).is_err());
        }
    }

    #[test]
    fn what_go_writes_for_unset_fields_is_zero() {
        for text in ["null", "0", "\"\"", "false", "[]", "{}", r#"{"a":null,"b":{"c":""}}"#] {
            assert!(read(text).is_ok_and(|json| json.is_zero()), "{text}");
        }
        for text in ["1", "-1", "0.5", "1e99", "18446744073709551615", "\" \"", "true", "[0]", "[\"\"]", r#"{"a":1}"#] {
            assert!(read(text).is_ok_and(|json| !json.is_zero()), "{text}");
        }
    }
}
