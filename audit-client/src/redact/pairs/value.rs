//! Where a value ends.

use super::{Joint, Place};
use crate::redact::scan::{line_end, line_start};

/// No value in one line is longer.
const LONGEST: usize = 64 << 10;

/// A value's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether it stands in quotes of its own.
    pub(super) quoted: bool,
    /// Whether its line goes on with another word.
    pub(super) goes_on: bool,
}

/// The value that begins at `at`; `None` if there is none.
pub(super) fn at(data: &[u8], place: &Place, joint: Joint, at: usize) -> Option<Value> {
    let end = line_end(data, at).min(at.saturating_add(LONGEST));
    let line = data.get(at..end)?;
    if let Some(value) = quoted(line) {
        return Some(Value { start: at + value.0, end: at + value.1, quoted: true, goes_on: false });
    }
    if joint != Joint::Space && place.begins_line && is_block(line) {
        return block(data, place, end);
    }
    let length = match (joint, place.quote) {
        // <your password>
        _ if line.first() == Some(&b'<') => memchr::memchr(b'>', line).map_or(line.len(), |end| end + 1),
        // "PASSWORD=a b": the quote was opened before the name.
        (_, Some((slashes, quote))) => closing(line, slashes, quote).unwrap_or(line.len()),
        (Joint::Equals, None) if place.begins_line && !place.flag => setting(line),
        (Joint::Equals | Joint::Space, None) => word(data, place, line),
        (Joint::Colon, None) if place.begins_line && !place.closed => yaml(line),
        (Joint::Colon, None) => inline(line),
    };
    let text = line.get(..length)?;
    let text = text.get(..text.trim_ascii_end().len())?;
    let goes_on = line.get(length..)?.trim_ascii_start().first().is_some_and(u8::is_ascii_alphanumeric);
    Some(Value { start: at, end: at + text.len(), quoted: false, goes_on })
}

/// Inside of quotes that open here: from, to. One that is not closed in its line ends with it.
fn quoted(line: &[u8]) -> Option<(usize, usize)> {
    // b"…", r"…", f"…"
    let prefix = usize::from(matches!(line, [b'b' | b'r' | b'f' | b'u', b'"' | b'\'', ..]));
    let slashes = line.get(prefix..)?.iter().take_while(|byte| **byte == b'\\').count();
    let quote = *line.get(prefix + slashes)?;
    if !matches!(quote, b'"' | b'\'' | b'`') {
        return None;
    }
    let from = prefix + slashes + 1;
    let rest = line.get(from..)?;
    Some((from, from + closing(rest, slashes, quote).unwrap_or(rest.len())))
}

/// Where a quote with as many backslashes before it stands again.
fn closing(text: &[u8], slashes: usize, quote: u8) -> Option<usize> {
    let mut run = 0;
    for (at, byte) in text.iter().enumerate() {
        match *byte {
            b'\\' => run += 1,
            byte => {
                // In a quote without backslashes one of them escapes; in `\"…\"` as many as opened close.
                let (closes, before) = if slashes == 0 { (run % 2 == 0, 0) } else { (run <= slashes, run) };
                if byte == quote && closes {
                    return Some(at - before);
                }
                run = 0;
            }
        }
    }
    None
}

/// A line of an environment: everything, but for a comment, and for a command behind `NAME=value`.
fn setting(line: &[u8]) -> usize {
    let first = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let rest = line.get(first..).unwrap_or_default();
    let shell =
        [&b" -"[..], b" | ", b" && ", b" > ", b" ; "].iter().any(|mark| memchr::memmem::find(rest, mark).is_some());
    if rest.trim_ascii_start().starts_with(b"#") || shell || names_another(rest) {
        return first;
    }
    // One line that holds many, as in JSON.
    escaped_end(line).unwrap_or(line.len())
}

/// Whether `KEY=` follows.
fn names_another(rest: &[u8]) -> bool {
    let word = rest.trim_ascii_start();
    let name =
        word.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')).count();
    name > 0 && word.get(name) == Some(&b'=')
}

/// Where a written `\n` begins a further line.
fn escaped_end(line: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(line, b"\\n").find(|at| {
        let rest = line.get(at + 2..).unwrap_or_default();
        let name =
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')).count();
        (name > 0 && matches!(rest.get(name), Some(b'=' | b':'))) || matches!(rest.first(), None | Some(b'"' | b'\\'))
    })
}

/// A word of a command, an address or a connection string.
fn word(data: &[u8], place: &Place, line: &[u8]) -> usize {
    let mut length = line
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'|'))
        .unwrap_or(line.len());
    let before = place.start.checked_sub(1).and_then(|at| data.get(at)).copied();
    if matches!(before, Some(b'?' | b'&')) {
        length = line
            .get(..length)
            .and_then(|text| text.iter().position(|byte| matches!(byte, b'&' | b'#')))
            .unwrap_or(length);
    }
    let text = line.get(..length).unwrap_or_default();
    // `Password=x;Server=y`, `password=x,ssl=true`, `(token=x)`.
    let border = text.iter().enumerate().position(|(at, byte)| {
        matches!(byte, b';' | b',') && text.get(at + 1..).is_none_or(|rest| rest.is_empty() || names_another(rest))
    });
    length = border.unwrap_or(length);
    length = escaped_end(line).map_or(length, |end| end.min(length));
    let text = line.get(..length).unwrap_or_default();
    text.iter().rposition(|byte| !matches!(byte, b',' | b';' | b')' | b'}' | b']')).map_or(0, |last| last + 1)
}

/// A value of YAML: to the end of its line, but for a comment.
fn yaml(line: &[u8]) -> usize {
    let end = memchr::memmem::find(line, b" #").unwrap_or(line.len());
    escaped_end(line).map_or(end, |escaped| escaped.min(end))
}

/// A value in the middle of a line.
fn inline(line: &[u8]) -> usize {
    let end = line.iter().enumerate().position(|(at, byte)| match byte {
        b' ' | b'\t' | b'"' | b'\'' | b'`' | b'}' | b']' => true,
        b',' | b';' => line.get(at + 1).is_none_or(|next| matches!(next, b' ' | b'"')),
        _ => false,
    });
    let end = end.unwrap_or(line.len());
    escaped_end(line).map_or(end, |escaped| escaped.min(end))
}

/// `|`, `>-` and the like: the value stands below.
fn is_block(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    matches!(line.first(), Some(b'|' | b'>'))
        && line.len() <= 3
        && line.iter().skip(1).all(|byte| matches!(byte, b'-' | b'+' | b'0'..=b'9'))
}

/// The lines below that are indented more than the name.
fn block(data: &[u8], place: &Place, mut end: usize) -> Option<Value> {
    let line = line_start(data, place.start);
    let indent = place.start - line;
    let mut start = None;
    while end < data.len() && end < place.start.saturating_add(LONGEST) {
        let next = end + 1 + usize::from(data.get(end) == Some(&b'\r') && data.get(end + 1) == Some(&b'\n'));
        let stop = line_end(data, next.min(data.len()));
        let text = data.get(next..stop)?;
        let spaces = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if spaces < text.len() {
            if spaces <= indent {
                break;
            }
            start.get_or_insert(next + spaces);
        }
        end = stop;
    }
    let start = start?;
    let kept = data.get(start..end)?.trim_ascii_end().len();
    Some(Value { start, end: start + kept, quoted: true, goes_on: false })
}
