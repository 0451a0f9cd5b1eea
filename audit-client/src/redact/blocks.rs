//! Secrets of several lines: private keys, and the data of Kubernetes Secrets.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::edges::Edges;
use super::mark;
use super::scan::{Anchor, Found, line_end, line_start, window};

/// No key is longer: an end further away belongs to another one.
const LONGEST_KEY: usize = 64 << 10;
/// What tells the ends of a key apart from any other text.
const PRIVATE_KEY: &str = "PRIVATE KEY";

pub(super) fn anchors() -> impl Iterator<Item = (&'static str, Anchor)> {
    // GnuPG's says BLOCK behind it.
    ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"].into_iter().map(|text| (text, Anchor::Pem))
}

/// A private key of which one end stands from `start` to `end`. The other may be missing: then it goes
/// on for as long as lines look like one, and where a cut is, up to the cut.
pub(super) fn private_key(data: &[u8], start: usize, end: usize, edges: Edges, found: &mut Vec<Found<'_>>) {
    let label = data.get(start.saturating_sub(40)..start).unwrap_or_default();
    let Some(dashes) = memchr::memmem::rfind(label, b"-----") else { return };
    let at = start.saturating_sub(label.len() - dashes);
    let label = label.get(dashes + 5..).unwrap_or_default();
    let kind = "private-key";
    if label.starts_with(b"BEGIN") {
        let rest = window(data, end, LONGEST_KEY);
        let stop = match find_end(rest) {
            Some(length) => end + length,
            None if edges.end && end + rest.len() == data.len() => data.len(),
            None => end + looks_like_key(data.get(end..).unwrap_or_default()),
        };
        found.push(Found { start: at, end: stop, kind });
    } else if label.starts_with(b"END") {
        let before = data.get(at.saturating_sub(LONGEST_KEY)..at).unwrap_or_default();
        // With its begin it was found from there.
        if memchr::memmem::rfind(before, b"-----BEGIN ")
            .is_some_and(|begin| find_end(before.get(begin..).unwrap_or_default()).is_none())
        {
            return;
        }
        let from = if edges.start && before.len() == at && memchr::memmem::find(before, b"-----").is_none() {
            0
        } else {
            begins_like_key(data, at)
        };
        found.push(Found { start: from, end, kind });
    }
}

/// Behind the line that ends a key.
pub(super) fn find_end(text: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(text, b"-----END ")?;
    let rest = window(text, end, 80);
    let label = memchr::memmem::find(rest, PRIVATE_KEY.as_bytes())?;
    let dashes = memchr::memmem::find(rest.get(label..)?, b"-----")?;
    Some(end + label + dashes + 5)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\\')
}

/// Whether a line could stand in a key: base64, or a header such as `DEK-Info: …`.
fn is_key_line(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.is_empty()
        || line.iter().all(|byte| is_key_byte(*byte))
        || [&b"Proc-Type:"[..], b"DEK-Info:", b"Comment:", b"Version:"].iter().any(|header| line.starts_with(header))
}

/// How far a key without an end goes.
fn looks_like_key(text: &[u8]) -> usize {
    // With its line ends escaped, as in JSON, it is all in one line.
    if text.first() == Some(&b'\\') {
        return text.iter().position(|byte| !is_key_byte(*byte)).unwrap_or(text.len());
    }
    let mut at = 0;
    while at < text.len() {
        let stop = line_end(text, at);
        if !is_key_line(text.get(at..stop).unwrap_or_default()) {
            break;
        }
        at = (stop + 1).min(text.len());
    }
    at
}

/// Where a key without a begin starts.
fn begins_like_key(data: &[u8], end: usize) -> usize {
    let start = line_start(data, end);
    // In one line, with escapes.
    let before = data.get(start..end).unwrap_or_default();
    if !before.is_empty() {
        let length = before.iter().rev().take_while(|byte| is_key_byte(**byte)).count();
        return end - length;
    }
    key_lines_above(data, start)
}

/// Where the lines begin that stand above the line at `start` and could be a key's last ones.
pub(super) fn key_lines_above(data: &[u8], start: usize) -> usize {
    let mut at = start;
    while at > 0 && start - at < LONGEST_KEY {
        let line = line_start(data, at - 1);
        let text = data.get(line..at).unwrap_or_default().trim_ascii();
        // Only its last line is short.
        let least = if at == start { 1 } else { 16 };
        if text.len() < least || !is_key_line(text) {
            break;
        }
        at = line;
    }
    at
}

/// Whether `secret`, which stands from `start` to `end`, is the kind of a Kubernetes object.
pub(super) fn names_a_secret(data: &[u8], start: usize, end: usize) -> bool {
    static BEFORE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?-u)(?:^|[^A-Za-z])kind\\*["']?\s*:\s*\\*["']?$"#).ok());
    let before = data.get(start.saturating_sub(24)..start).unwrap_or_default();
    data.get(start..end) == Some(b"Secret")
        && !data.get(end).is_some_and(u8::is_ascii_alphanumeric)
        && BEFORE.as_ref().is_some_and(|regex| regex.is_match(before))
}

/// Whether the document around a place said before it that it is a Kubernetes Secret.
pub(super) fn in_a_secret(data: &[u8], at: usize) -> bool {
    let before = data.get(document(data, at).0..at).unwrap_or_default();
    memchr::memmem::find_iter(before, "Secret").any(|kind| names_a_secret(before, kind, kind + "Secret".len()))
}

static DATA: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?m-u)^([ \t]*(?:- )?)(?:data|stringData):[ \t]*\r?$|\\*"(?:data|stringData)\\*"\s*:\s*\{"#).ok()
});
static OBJECT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?-u)apiVersion\\*["']?\s*:\s*\\*["']?v1\b"#).ok());

/// The values in the data of Kubernetes Secrets. `kinds` are the places where an object says that it is
/// one: all data in the same document counts. A document on a cut may have said so in what is missing.
pub(super) fn secrets(data: &[u8], kinds: &[usize], edges: Edges, found: &mut Vec<Found<'_>>) {
    let unfinished = edges.end && OBJECT.as_ref().is_some_and(|regex| regex.is_match(data));
    if kinds.is_empty() && !unfinished {
        return;
    }
    let Some(regex) = DATA.as_ref() else { return };
    if edges.start
        && let Some(first) = kinds.first()
    {
        // The line `data:` itself may be missing.
        let named = regex.find(data).is_some_and(|hit| hit.start() < *first);
        if !named && document(data, *first).0 == 0 {
            yaml_values(data, 0, line_end(data, 0), line_start(data, *first), found);
        }
    }
    for hit in regex.captures_iter(data) {
        let Some(whole) = hit.get(0) else { continue };
        let (from, to) = document(data, whole.start());
        let named = kinds.iter().any(|kind| (from..to).contains(kind));
        let on_cut = unfinished && to == data.len() && !says_its_kind(data, from, whole.start(), to);
        if !named && !on_cut {
            continue;
        }
        match hit.get(1) {
            Some(indent) => yaml_values(data, indent.len(), whole.end(), to, found),
            None => json_values(data, whole.end(), to, found),
        }
    }
}

/// The YAML document around a place.
fn document(data: &[u8], at: usize) -> (usize, usize) {
    let from = memchr::memmem::rfind(data.get(..at).unwrap_or_default(), b"\n---").unwrap_or(0);
    let rest = data.get(at..).unwrap_or_default();
    (from, memchr::memmem::find(rest, b"\n---").map_or(data.len(), |length| at + length))
}

/// Whether the object whose data stands at `at` says of what kind it is. If it does, and is not one of the
/// Secrets that were found, it is something else.
fn says_its_kind(data: &[u8], from: usize, at: usize, to: usize) -> bool {
    static KIND: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?m-u)^\s*(?:- )?\\*"?kind\\*"?\s*:\s*\\*"?[A-Z][A-Za-z]*[^A-Za-z]"#).ok());
    let before = data.get(from..at).unwrap_or_default();
    let object = from + memchr::memmem::rfind(before, b"apiVersion").unwrap_or(0);
    KIND.as_ref().is_some_and(|regex| regex.is_match(data.get(object..to).unwrap_or_default()))
}

fn yaml_values(data: &[u8], indent: usize, mut at: usize, to: usize, found: &mut Vec<Found<'_>>) {
    while at < to {
        let start = (at + 1 + usize::from(data.get(at) == Some(&b'\r') && data.get(at + 1) == Some(&b'\n'))).min(to);
        let stop = line_end(data, start).min(to);
        let line = data.get(start..stop).unwrap_or_default();
        let spaces = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if spaces < line.len() {
            if spaces <= indent {
                return;
            }
            // The key stays; a line without one belongs to the value above.
            let value = memchr::memchr(b':', line).map_or(spaces, |colon| colon + 1);
            push(data, start + value, stop, found);
        }
        at = stop.max(start);
        if stop >= to {
            return;
        }
    }
}

fn push(data: &[u8], start: usize, end: usize, found: &mut Vec<Found<'_>>) {
    let text = data.get(start..end).unwrap_or_default();
    let (left, right) = (text.trim_ascii_start(), text.trim_ascii());
    if right.is_empty()
        || right.starts_with(mark::PREFIX)
        || matches!(right, b"|" | b"|-" | b">" | b">-" | b"\"\"" | b"''" | b"{}" | b"null")
    {
        return;
    }
    let start = start + text.len() - left.len();
    found.push(Found { start, end: start + right.len(), kind: "kubernetes-secret" });
}

/// The strings behind colons, up to the brace that closes.
fn json_values(data: &[u8], from: usize, to: usize, found: &mut Vec<Found<'_>>) {
    let mut at = from;
    let mut is_value = false;
    while at < to {
        match data.get(at) {
            Some(b'}') | None => return,
            Some(b':') => is_value = true,
            Some(b',') => is_value = false,
            Some(b'"') => {
                let slashes =
                    data.get(from..at).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\').count();
                let start = at + 1;
                let mut run = 0;
                let mut stop = start;
                loop {
                    match data.get(stop) {
                        Some(b'\\') => run += 1,
                        Some(b'"') if run <= slashes => break,
                        None => break,
                        Some(_) => run = 0,
                    }
                    stop += 1;
                }
                if is_value {
                    let end = stop.min(data.len()) - if data.get(stop).is_some() { run } else { 0 };
                    push(data, start, end.max(start), found);
                }
                at = stop;
            }
            Some(_) => {}
        }
        at += 1;
    }
}

/// Where a private key begins that has no end yet.
pub(super) fn open_key(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let begin = at + memchr::memmem::find(data.get(at..)?, b"-----BEGIN ")?;
        let rest = data.get(begin..)?;
        // Its label may not be whole yet.
        let private = memchr::memmem::find(window(rest, 0, 64), PRIVATE_KEY.as_bytes()).is_some() || rest.len() < 40;
        match find_end(rest) {
            None if private => return Some(begin),
            Some(end) if private => at = begin + end,
            _ => at = begin + 11,
        }
    }
}

/// Where data begins of an object that has not said yet of what kind it is.
pub(super) fn open_object(data: &[u8]) -> Option<usize> {
    let regex = DATA.as_ref()?;
    let hit = regex.find_iter(data).last()?;
    let (from, to) = document(data, hit.start());
    (to == data.len() && !says_its_kind(data, from, hit.start(), to)).then(|| line_start(data, hit.start()))
}
