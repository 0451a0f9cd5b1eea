//! A place in the request's JSON: the value, and the path that an error names.

use serde_json::{Map, Value};

use crate::error::ApiError;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    path: String,
    /// The value itself.
    pub(super) value: &'a Value,
}

impl<'a> Place<'a> {
    /// The whole body.
    pub(super) fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// The same value under another path, for the real API names a block's type in it.
    pub(super) fn tagged(&self, tag: &str) -> Self {
        Self { path: self.join(tag), value: self.value }
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A refusal at this place.
    pub(super) fn refuse(&self, why: impl std::fmt::Display) -> ApiError {
        if self.path.is_empty() {
            ApiError::invalid(why.to_string())
        } else {
            ApiError::invalid(format!("{}: {why}", self.path))
        }
    }

    /// The value as an object.
    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, ApiError> {
        self.value.as_object().ok_or_else(|| self.refuse("Input should be an object"))
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<Vec<Place<'a>>, ApiError> {
        let items = self.value.as_array().ok_or_else(|| self.refuse("Input should be a valid list"))?;
        Ok(items
            .iter()
            .enumerate()
            .map(|(index, value)| Place { path: self.join(&index.to_string()), value })
            .collect())
    }

    /// The value as a string.
    pub(super) fn text(&self) -> Result<&'a str, ApiError> {
        self.value.as_str().ok_or_else(|| self.refuse("Input should be a valid string"))
    }

    /// The value as a boolean.
    pub(super) fn boolean(&self) -> Result<bool, ApiError> {
        self.value.as_bool().ok_or_else(|| self.refuse("Input should be a valid boolean"))
    }

    /// The value as an integer of at least `least`.
    pub(super) fn integer_from(&self, least: u64) -> Result<u64, ApiError> {
        if !self.value.is_i64() && !self.value.is_u64() {
            return Err(self.refuse("Input should be a valid integer"));
        }
        self.value
            .as_u64()
            .filter(|n| *n >= least)
            .ok_or_else(|| self.refuse(format!("Input should be greater than or equal to {least}")))
    }

    /// A field that has to be there.
    pub(super) fn required(&self, key: &str) -> Result<Place<'a>, ApiError> {
        let value = self.object()?.get(key);
        let path = self.join(key);
        match value {
            Some(value) => Ok(Place { path, value }),
            None => Err(ApiError::invalid(format!("{path}: Field required"))),
        }
    }

    /// A field that may be missing or null.
    pub(super) fn optional(&self, key: &str) -> Option<Place<'a>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Place { path: self.join(key), value })
    }

    /// Refuses a field that is not known here: a misspelt one would be ignored in silence.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.object()?.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(ApiError::invalid(format!("{}: Extra inputs are not permitted", self.join(key)))),
            None => Ok(()),
        }
    }

    /// One of a few words.
    pub(super) fn one_of(&self, words: &[&str]) -> Result<&'a str, ApiError> {
        let text = self.text()?;
        if words.contains(&text) {
            return Ok(text);
        }
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        Err(self.refuse(format!("Input should be {}", quoted.join(" or "))))
    }

    /// A `cache_control` mark below this place, when there is one.
    pub(super) fn cache_control(&self) -> Result<(), ApiError> {
        if let Some(mark) = self.optional("cache_control") {
            mark.only(&["type", "ttl"])?;
            mark.required("type")?.one_of(&["ephemeral"])?;
            if let Some(ttl) = mark.optional("ttl") {
                ttl.one_of(&["5m", "1h"])?;
            }
        }
        Ok(())
    }
}
