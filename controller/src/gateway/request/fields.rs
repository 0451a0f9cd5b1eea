//! Reading a JSON object field by field: what is not read is not known, and what is not known is refused.

use std::collections::{BTreeMap, HashMap};

use super::json::Json;
use crate::gateway::refusal::Refusal;

/// No single string is longer: the kernel's own limit for one argument.
const LONGEST: usize = 128 * 1024;

/// Lists of objects, each with its key.
type ListsByKey = Vec<(String, Vec<Fields>)>;

/// An object's fields that were not read yet.
#[derive(Debug)]
pub(super) struct Fields {
    /// Where it stands in the body, such as `HostConfig.`.
    place: String,
    left: BTreeMap<String, Json>,
}

impl Fields {
    /// A body's outermost object. Without a body there is an empty one.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Refusal> {
        if body.trim_ascii().is_empty() {
            return Ok(Self { place: String::new(), left: BTreeMap::new() });
        }
        let json = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad(format!("the request's body is not acceptable JSON: {error}")))?;
        Self::of(json, String::new())
    }

    fn of(json: Json, place: String) -> Result<Self, Refusal> {
        match json {
            Json::Null => Ok(Self { place, left: BTreeMap::new() }),
            Json::Object(fields) => Ok(Self { place, left: fields.into_iter().collect() }),
            other => {
                let name = place.strip_suffix('.').unwrap_or("the request's body");
                Err(Refusal::bad(format!("{name} must be an object, not {}", other.kind())))
            }
        }
    }

    /// Whether a field is there and says something.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|json| !json.is_zero())
    }

    /// Its place in the body, for sentences.
    pub(super) fn name(&self, field: &str) -> String {
        format!("{}{field}", self.place)
    }

    /// `null` is as good as absent.
    fn take(&mut self, name: &str) -> Option<Json> {
        self.left.remove(name).filter(|json| *json != Json::Null)
    }

    fn wrong(&self, name: &str, wanted: &str, found: &Json) -> Refusal {
        Refusal::bad(format!("{} must be {wanted}, not {}", self.name(name), found.kind()))
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Flag(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong(name, "a boolean", &other)),
        }
    }

    pub(super) fn whole(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Whole(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong(name, "a whole number", &other)),
        }
    }

    /// A string; the empty one is as good as absent.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) if text.is_empty() => Ok(None),
            Some(Json::Text(text)) => self.sound(name, text).map(Some),
            Some(other) => Err(self.wrong(name, "a string", &other)),
        }
    }

    /// A list of strings. The empty one is kept: an empty `Cmd` is not the image's.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let items = match self.take(name) {
            None => return Ok(None),
            Some(Json::List(items)) => items,
            Some(other) => return Err(self.wrong(name, "a list of strings", &other)),
        };
        let texts = items.into_iter().map(|item| match item {
            Json::Text(text) => self.sound(name, text),
            other => Err(self.wrong(name, "a list of strings", &other)),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// A map of strings to strings.
    pub(super) fn text_map(&mut self, name: &str) -> Result<Option<HashMap<String, String>>, Refusal> {
        let Some(entries) = self.entries(name)? else { return Ok(None) };
        let entries = entries.into_iter().map(|(key, value)| match value {
            Json::Text(value) => Ok((self.sound(name, key)?, self.sound(name, value)?)),
            other => Err(self.wrong(name, "a map of strings", &other)),
        });
        entries.collect::<Result<_, _>>().map(Some)
    }

    /// The keys of a map of empty objects, as Go writes a set.
    pub(super) fn set(&mut self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(entries) = self.entries(name)? else { return Ok(None) };
        let keys = entries.into_iter().map(|(key, value)| {
            if value.is_zero() { self.sound(name, key) } else { Err(self.wrong(name, "a set", &value)) }
        });
        keys.collect::<Result<_, _>>().map(Some)
    }

    /// An object; absent, it has no fields.
    pub(super) fn object(&mut self, name: &str) -> Result<Self, Refusal> {
        let json = self.take(name).unwrap_or(Json::Null);
        Self::of(json, format!("{}.", self.name(name)))
    }

    /// A map of objects.
    pub(super) fn objects(&mut self, name: &str) -> Result<Option<Vec<(String, Self)>>, Refusal> {
        let Some(entries) = self.entries(name)? else { return Ok(None) };
        let objects = entries.into_iter().map(|(key, value)| {
            let key = self.sound(name, key)?;
            let place = format!("{}.{key}.", self.name(name));
            Ok((key, Self::of(value, place)?))
        });
        objects.collect::<Result<_, _>>().map(Some)
    }

    /// A map of lists of objects.
    pub(super) fn object_lists(&mut self, name: &str) -> Result<Option<ListsByKey>, Refusal> {
        let Some(entries) = self.entries(name)? else { return Ok(None) };
        let mut lists = Vec::new();
        for (key, value) in entries {
            let key = self.sound(name, key)?;
            let place = format!("{}.{key}.", self.name(name));
            let list = match value {
                Json::Null => Vec::new(),
                Json::List(items) => {
                    items.into_iter().map(|item| Self::of(item, place.clone())).collect::<Result<_, _>>()?
                }
                other => return Err(self.wrong(name, "a map of lists", &other)),
            };
            lists.push((key, list));
        }
        Ok(Some(lists))
    }

    /// A list of objects.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Self>>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::List(items)) => {
                let place = format!("{}.", self.name(name));
                items.into_iter().map(|item| Self::of(item, place.clone())).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(self.wrong(name, "a list", &other)),
        }
    }

    /// Two numbers, as a terminal's size is written.
    pub(super) fn pair(&mut self, name: &str) -> Result<Option<[u16; 2]>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::List(items)) => {
                let numbers = items.iter().map(|item| match item {
                    Json::Whole(number) => u16::try_from(*number).ok(),
                    _ => None,
                });
                match numbers.collect::<Option<Vec<_>>>().as_deref() {
                    Some([]) => Ok(None),
                    Some([height, width]) => Ok(Some([*height, *width])),
                    _ => Err(Refusal::bad(format!("{} must be two small numbers", self.name(name)))),
                }
            }
            Some(other) => Err(self.wrong(name, "two numbers", &other)),
        }
    }

    /// A field that may be written but must say nothing. `instead` is what to do without it.
    pub(super) fn nothing(&mut self, name: &str, instead: &str) -> Result<(), Refusal> {
        match self.left.remove(name) {
            Some(json) if !json.is_zero() => {
                let name = self.name(name);
                Err(Refusal::forbidden(format!("{name} is not possible through this gateway: {instead}")))
            }
            _ => Ok(()),
        }
    }

    /// All fields of a table of those that must say nothing.
    pub(super) fn nothing_of(&mut self, table: &[(&str, &str)]) -> Result<(), Refusal> {
        table.iter().try_for_each(|(name, instead)| self.nothing(name, instead))
    }

    /// Whatever was not read is not known.
    pub(super) fn done(self) -> Result<(), Refusal> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::forbidden(format!(
                "the field {:?} is not known to this gateway: leave it out",
                super::shortened(&self.name(name))
            ))),
        }
    }

    fn entries(&mut self, name: &str) -> Result<Option<Vec<(String, Json)>>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Object(entries)) => Ok(Some(entries)),
            Some(other) => Err(self.wrong(name, "an object", &other)),
        }
    }

    /// No string may have a NUL, which ends it for the kernel, or be endless.
    fn sound(&self, name: &str, text: String) -> Result<String, Refusal> {
        if text.contains('\0') {
            return Err(Refusal::bad(format!("{} has a NUL character", self.name(name))));
        }
        if text.len() > LONGEST {
            return Err(Refusal::bad(format!("{} has a string longer than {LONGEST} bytes", self.name(name))));
        }
        Ok(text)
    }
}
