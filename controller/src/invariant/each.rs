//! What an invariant or a group of a screen goes over: one element, or each of a list or map.

use std::collections::BTreeMap;

use kube::core::cel::cel::{Context, Program, Value};

use super::MOST_KEYS;
use super::mistakes::{Names, compile};
use super::names::Reads;
use super::template::shown;
use crate::{cel, printable};

/// Characters of a key.
const LONGEST_KEY: usize = 253;

/// `forEach` and `key`.
#[derive(Debug)]
pub(super) struct Each {
    over: Option<Program>,
    key: Option<Program>,
}

impl Each {
    /// Compiles them. An error says which of the two fields it is about.
    pub(super) fn compile(
        over: Option<&str>,
        key: Option<&str>,
        names: &Names<'_>,
    ) -> Result<(Self, Reads), (&'static str, String)> {
        let mut reads = Reads::default();
        let Some(over) = over else {
            return match key {
                Some(_) => Err(("key", "a key tells the elements of forEach apart, and there is no forEach".into())),
                None => Ok((Self { over: None, key: None }, reads)),
            };
        };
        let (over, more) = compile(over, names).map_err(|why| ("forEach", why))?;
        reads.add(more);
        let variables: Vec<&str> = names.variables.iter().copied().chain(["item"]).collect();
        let names = Names { probes: names.probes, variables: &variables };
        let key = match key {
            Some(key) => {
                let (key, more) = compile(key, &names).map_err(|why| ("key", why))?;
                reads.add(more);
                Some(key)
            }
            None => None,
        };
        Ok((Self { over: Some(over), key }, reads))
    }

    /// Whether there are elements, and not the one thing without a name.
    pub(super) fn is_many(&self) -> bool {
        self.over.is_some()
    }

    /// The elements with their keys; without `forEach` one, with the empty key.
    pub(super) fn elements(&self, context: &Context<'_>) -> Result<BTreeMap<String, Value>, String> {
        let Some(over) = &self.over else { return Ok(BTreeMap::from([(String::new(), Value::Null)])) };
        let mut found = BTreeMap::new();
        let mut add = |key: String, item: Value| {
            let key = printable::short_line(&key, LONGEST_KEY);
            if found.len() >= MOST_KEYS {
                return Err(format!("forEach has more than {MOST_KEYS} elements"));
            }
            match found.insert(key.clone(), item) {
                Some(_) => Err(format!("two elements of forEach have the key {key:?}")),
                None => Ok(()),
            }
        };
        match cel::evaluate(over, context).map_err(|why| format!("forEach: {why}"))? {
            Value::Map(map) => {
                for (key, item) in map.map.iter() {
                    let name = match &self.key {
                        Some(key) => name_of(key, item, context)?,
                        None => key.to_string(),
                    };
                    add(name, item.clone())?;
                }
            }
            Value::List(items) => {
                for item in items.iter() {
                    let name = match &self.key {
                        Some(key) => name_of(key, item, context)?,
                        None => shown(item),
                    };
                    add(name, item.clone())?;
                }
            }
            other => return Err(format!("forEach gives {}, which is neither a list nor a map", kind(&other))),
        }
        Ok(found)
    }
}

/// The key of an element.
fn name_of(key: &Program, item: &Value, context: &Context<'_>) -> Result<String, String> {
    let mut scope = context.new_inner_scope();
    scope.add_variable_from_value("item", item.clone());
    cel::evaluate(key, &scope).map(|key| shown(&key)).map_err(|why| format!("key: {why}"))
}

/// What kind of value it is.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing (null)",
        Value::Bool(_) => "a truth value",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        _ => "something else",
    }
}
