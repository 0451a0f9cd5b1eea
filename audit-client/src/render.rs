//! Showing the trail to people: pure functions from sessions and entries to text.
//!
//! What is shown was written by a model and by the commands that it ran, so every character passes
//! [`crate::printable`] or [`clean`] before it reaches a terminal or a page.
#![allow(clippy::format_push_string, clippy::format_collect)] // reads better than write! with an error that cannot be

pub mod clean;
pub mod json;
pub mod markdown;
pub mod numbers;
pub mod style;
pub mod table;
pub mod text;

use crate::reader::StoredEntry;
use crate::record::SessionRecord;

/// A session with its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The session's row.
    pub session: SessionRecord,
    /// All its entries, in order.
    pub entries: Vec<StoredEntry>,
}

/// Whether anything is shown that is outside the proof.
fn has_summaries(shown: &Shown) -> bool {
    shown.entries.iter().any(|entry| entry.summary.as_deref().is_some_and(|summary| !summary.trim().is_empty()))
}
