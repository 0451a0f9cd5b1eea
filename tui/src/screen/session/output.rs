//! Texts that may be long, of which a beginning and an end are kept.

use std::fmt::Write as _;

use audit_client::StreamRecord;
use audit_client::render::clean;

/// How many bytes of the beginning of a long text are kept.
const HEAD: usize = 24 << 10;
/// How many of its end.
const TAIL: usize = 8 << 10;

/// A text, or the beginning and the end of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// All of it, or its beginning.
    pub head: String,
    /// Its end; empty if nothing is left out.
    pub tail: String,
    /// How many lines the whole has, as far as it is on record.
    pub lines: usize,
    /// How many bytes of it are on record but not here.
    pub cut: u64,
    /// How many bytes are not even on record.
    pub lost: u64,
}

impl Kept {
    /// A text of which the beginning matters.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::of(text.trim_end(), "", 0, HEAD + TAIL)
    }

    /// What a command printed.
    #[must_use]
    pub fn stream(record: &StreamRecord) -> Self {
        Self::from_stream(record, HEAD + TAIL)
    }

    /// All that is on record of what a command printed.
    #[must_use]
    pub fn whole(record: &StreamRecord) -> Self {
        Self::from_stream(record, usize::MAX)
    }

    fn from_stream(record: &StreamRecord, limit: usize) -> Self {
        let head = clean::bytes(&record.head);
        let tail = record.tail.as_ref().map(clean::bytes).unwrap_or_default();
        let on_record = (head.len() + tail.len()) as u64;
        let lost = if record.tail.is_some() { record.bytes.saturating_sub(on_record) } else { 0 };
        Self::of(&head, &tail, lost, limit)
    }

    fn of(head: &str, tail: &str, lost: u64, limit: usize) -> Self {
        let lines = count(head) + count(tail);
        let (mut kept, mut cut) = (Self { lines, lost, ..Self::default() }, 0);
        if head.len() + tail.len() <= limit {
            head.clone_into(&mut kept.head);
            tail.clone_into(&mut kept.tail);
            return kept;
        }
        let start = beginning(head, HEAD);
        let rest = if tail.is_empty() { &head[start.len()..] } else { tail };
        let end = ending(rest, TAIL);
        cut += (head.len() + tail.len()).saturating_sub(start.len() + end.len());
        start.clone_into(&mut kept.head);
        end.clone_into(&mut kept.tail);
        kept.cut = cut as u64;
        kept
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.tail.is_empty()
    }

    /// Whether all that is on record is here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.cut == 0
    }

    /// The bytes that it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// The lines of the beginning.
    pub fn first(&self) -> impl Iterator<Item = &str> {
        self.head.lines()
    }

    /// The lines of the end, the last one first.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        let end = if self.has_gap() { &self.tail } else { &self.head };
        end.lines().rev()
    }

    /// Whether there is something between the beginning and the end that is not here.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        self.cut > 0 || self.lost > 0 || !self.tail.is_empty()
    }

    /// All that is here, with a word about what is not.
    #[must_use]
    pub fn joined(&self) -> String {
        let mut text = self.head.clone();
        if self.has_gap() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            // Writing to a String cannot fail.
            if self.lost > 0 {
                let lost = audit_client::render::numbers::bytes(self.lost);
                let _ = writeln!(text, "… {lost} in between were not kept …");
            }
            if self.cut > 0 {
                let cut = audit_client::render::numbers::bytes(self.cut);
                let _ = writeln!(text, "… {cut} in between are not shown here …");
            }
            text.push_str(&self.tail);
        }
        text
    }
}

fn count(text: &str) -> usize {
    text.lines().count()
}

/// The beginning of a text, up to the end of a line if there is one near.
fn beginning(text: &str, most: usize) -> &str {
    let cut = text.floor_char_boundary(most);
    match text[..cut].rfind('\n') {
        Some(end) if end > cut / 2 => &text[..=end],
        _ => &text[..cut],
    }
}

/// The end of a text, from the start of a line if there is one near.
fn ending(text: &str, most: usize) -> &str {
    let cut = text.ceil_char_boundary(text.len().saturating_sub(most));
    let end = &text[cut..];
    match end.find('\n') {
        Some(start) if start < end.len() / 2 => &end[start + 1..],
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use audit_client::Bytes;

    use super::*;

    #[test]
    fn what_is_long_is_kept_at_both_ends() {
        let text = (0..20_000).fold(String::new(), |all, line| all + &format!("line {line}\n"));
        let kept =
            Kept::stream(&StreamRecord { bytes: text.len() as u64, head: Bytes::Text(text.clone()), tail: None });
        assert!(kept.size() <= HEAD + TAIL && !kept.is_whole() && kept.lines == 20_000);
        assert_eq!((kept.first().next(), kept.last().next()), (Some("line 0"), Some("line 19999")));
        assert_eq!(kept.cut, (text.len() - kept.size()) as u64);
        let whole = Kept::whole(&StreamRecord { bytes: 0, head: Bytes::Text(text.clone()), tail: None });
        assert!(whole.is_whole() && whole.joined() == text);
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut_between_characters() {
        let kept = Kept::text(&"漢".repeat(400_000));
        assert!(kept.size() <= HEAD + TAIL + 6 && kept.lines == 1 && kept.cut > 1_000_000);
        assert!(kept.joined().contains("in between are not shown here"));
    }

    #[test]
    fn what_was_not_kept_is_said() {
        let record =
            StreamRecord { bytes: 1 << 30, head: Bytes::Text("a\n".into()), tail: Some(Bytes::Text("z\n".into())) };
        assert_eq!(Kept::stream(&record).joined(), "a\n… 1.0 GiB in between were not kept …\nz\n");
        assert_eq!(Kept::stream(&record).last().next(), Some("z"));
        assert!(Kept::text("").is_empty());
    }
}
