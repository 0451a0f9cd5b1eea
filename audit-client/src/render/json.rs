//! Sessions and entries as they are stored, for programs.

use serde_json::{Value, json};

use super::{Shown, clean};
use crate::SessionRecord;

/// A listing: `{"sessions": […]}`.
#[must_use]
pub fn sessions(sessions: &[SessionRecord]) -> String {
    document(&json!({ "sessions": sessions }))
}

/// Sessions with their entries: `{"sessions": [{"session": {…}, "entries": […]}]}`.
#[must_use]
pub fn shown(all: &[Shown]) -> String {
    let all: Vec<Value> = all.iter().map(|s| json!({ "session": s.session, "entries": s.entries })).collect();
    document(&json!({ "sessions": all }))
}

/// One entry, on one line.
#[must_use]
pub fn entry(entry: &crate::StoredEntry) -> String {
    clean::json(&json!(entry).to_string()) + "\n"
}

fn document(value: &Value) -> String {
    clean::json(&format!("{value:#}\n"))
}
