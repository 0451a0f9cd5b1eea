//! What the model sees of a command's result.
//!
//! Secrets are masked already when output comes here. It is cut to its head and tail, decoded, freed of
//! what would steer a terminal, and stands inside of a fence ([`super::fence`]); what Operator says of it
//! stands outside. The record keeps every byte that the sandbox kept, as it came but for the secrets.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fence::Fence;
use crate::audit::entry::{Bytes, CallOutcome, StreamRecord};
use crate::redact::{MaskedStream, Redactor};

/// How much of each stream the model sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Bytes from the start.
    pub head: usize,
    /// Bytes from the end.
    pub tail: usize,
}

impl Default for Cut {
    fn default() -> Self {
        Self { head: 16 << 10, tail: 16 << 10 }
    }
}

/// How results of one session are shown.
#[derive(Clone, Debug)]
pub struct Presenter {
    /// How much of each stream.
    pub cut: Cut,
    /// What stands around it.
    pub fence: Fence,
    /// What masks secrets.
    pub redactor: Redactor,
}

impl Presenter {
    /// For a session of this redactor, with what its first entry says.
    #[must_use]
    pub fn new(redactor: Redactor, cut: Cut, system: &str) -> Self {
        Self { cut, fence: Fence::explained(redactor.boundary(), system), redactor }
    }

    /// The text that the model is sent for a command. `seq` is the number of its `tool_call` entry, by
    /// which the model can name it as evidence.
    #[must_use]
    pub fn result(
        &self,
        seq: i64,
        outcome: &CallOutcome,
        duration: Duration,
        stdout: &MaskedStream,
        stderr: &MaskedStream,
        note: Option<&str>,
    ) -> String {
        let mut text = format!("[entry {seq}] {}", headline(outcome, duration));
        if let Some(note) = note {
            let _ = write!(text, "\nnote: {note}");
        }
        for (name, stream) in [("stdout", stdout), ("stderr", stderr)] {
            if stream.total > 0 {
                text.push('\n');
                text.push_str(&self.section(name, stream));
            }
        }
        if stdout.total == 0
            && stderr.total == 0
            && !matches!(outcome, CallOutcome::NotStarted { .. } | CallOutcome::Unknown { .. })
        {
            text.push_str("\n(no output)");
        }
        text
    }

    /// One stream with its size.
    fn section(&self, name: &str, stream: &MaskedStream) -> String {
        let (head, tail) = ends(stream, self.cut);
        let unseen = stream.head.len() + stream.tail.len() - head.len() - tail.len();
        let left_out = stream.dropped.saturating_add(unseen as u64);
        let lossy = std::str::from_utf8(head).is_err() || std::str::from_utf8(tail).is_err();
        let invalid = if lossy { ", not all valid UTF-8: the rest shown as \u{fffd}" } else { "" };
        let mut text = format!("{name} ({} bytes{invalid}):\n{}", thousands(stream.total), self.fenced(head));
        if left_out > 0 {
            let _ = write!(text, "\n[… {} bytes left out …]", thousands(left_out));
        }
        if !tail.is_empty() {
            text.push('\n');
            text.push_str(&self.fenced(tail));
        }
        text
    }

    /// Masked once more where something was taken out: it may have stood inside of a secret.
    fn fenced(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let cleaned = clean(&text);
        if cleaned == text { self.fence.around(&text) } else { self.fence.around(&self.redactor.text(&cleaned).value) }
    }
}

fn headline(outcome: &CallOutcome, duration: Duration) -> String {
    let took = format!("{:.2} s", duration.as_secs_f64());
    match outcome {
        CallOutcome::Exited { code } => format!("exit code {code} in {took}"),
        CallOutcome::Signaled { signal } => format!("ended by signal {signal} (not sent by Operator) after {took}"),
        CallOutcome::TimedOut { limit_ms } => format!(
            "killed by Operator after the limit of {} s; what it printed until then follows. Ask for more time with \
             timeout_seconds, or run it in the background with its output in a file",
            f64_of(*limit_ms) / 1000.0
        ),
        CallOutcome::Cancelled => format!("killed by Operator after {took}, because the session was stopped"),
        CallOutcome::NotStarted { reason } => format!("not run: {reason}"),
        CallOutcome::Unknown { reason } => format!("outcome unknown, it may or may not have taken effect: {reason}"),
        CallOutcome::Accepted => "accepted".to_owned(),
    }
}

#[allow(clippy::cast_precision_loss)] // a command's limit in milliseconds
fn f64_of(number: i64) -> f64 {
    number as f64
}

/// The parts of a stream that are shown, cut between characters.
fn ends(stream: &MaskedStream, cut: Cut) -> (&[u8], &[u8]) {
    let kept = stream.dropped == 0 && stream.tail.is_empty();
    if kept && stream.head.len() <= cut.head + cut.tail {
        return (&stream.head, &[]);
    }
    let head = cut_head(&stream.head, cut.head);
    let rest = if stream.tail.is_empty() { stream.head.get(head.len()..).unwrap_or_default() } else { &stream.tail };
    (head, cut_tail(rest, cut.tail))
}

/// At most `limit` bytes from the start; a character that would be cut is left out.
fn cut_head(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    let border = (limit.saturating_sub(3)..=limit).rev().find(|at| bytes.get(*at).is_some_and(|byte| !is_inner(*byte)));
    bytes.get(..border.unwrap_or(limit)).unwrap_or(bytes)
}

/// At most `limit` bytes from the end; a character that would be cut is left out.
fn cut_tail(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    let start = bytes.len() - limit;
    let border = (start..=start + 3).find(|at| bytes.get(*at).is_some_and(|byte| !is_inner(*byte)));
    bytes.get(border.unwrap_or(start)..).unwrap_or_default()
}

/// Whether a byte is inside a UTF-8 character and not its first.
fn is_inner(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Text without what steers a terminal or hides from the eye. Line feeds and tabs stay, a carriage
/// return is a line feed, NUL is shown as `\0`.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\0' => out.push_str("\\0"),
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_csi(&mut chars),
            c if c.is_control() || is_hidden(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Characters that reorder text or are not seen: words for the model that a person would not notice.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Leaves out an escape sequence whose ESC was just read.
fn skip_escape(chars: &mut Chars<'_>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_csi(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            chars.next();
            // A string up to BEL or ESC \; one that is never ended ends with its line.
            while let Some(c) = chars.next_if(|c| *c != '\n') {
                if c == '\u{7}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        _ => {
            while chars.next_if(|c| ('\u{20}'..='\u{2f}').contains(c)).is_some() {}
            chars.next_if(|c| ('\u{30}'..='\u{7e}').contains(c));
        }
    }
}

fn skip_csi(chars: &mut Chars<'_>) {
    while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
    chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A stream as it is kept on record.
#[must_use]
pub fn record(stream: &MaskedStream) -> StreamRecord {
    let tail = (!stream.tail.is_empty()).then(|| Bytes::from(stream.tail.clone()));
    StreamRecord { bytes: stream.total, head: Bytes::from(stream.head.clone()), tail }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: &str = "<data-00ff00ff00ff00ff>\n";
    const CLOSE: &str = "</data-00ff00ff00ff00ff>";

    fn stream(bytes: &[u8]) -> MaskedStream {
        MaskedStream { head: bytes.to_vec(), total: bytes.len() as u64, ..MaskedStream::default() }
    }

    fn presenter(cut: Cut) -> Presenter {
        Presenter { cut, fence: Fence::new("00ff00ff00ff00ff"), redactor: Redactor::for_readers().clone() }
    }

    fn show(outcome: &CallOutcome, stdout: &[u8], stderr: &[u8]) -> String {
        let took = Duration::from_millis(120);
        presenter(Cut::default()).result(7, outcome, took, &stream(stdout), &stream(stderr), None)
    }

    #[test]
    fn a_plain_result() {
        let ok = CallOutcome::Exited { code: 0 };
        assert_eq!(
            show(&ok, b"hi\n", b""),
            format!("[entry 7] exit code 0 in 0.12 s\nstdout (3 bytes):\n{OPEN}hi\n{CLOSE}")
        );
        assert_eq!(show(&ok, b"", b""), "[entry 7] exit code 0 in 0.12 s\n(no output)");
        let both = show(&CallOutcome::Exited { code: 1 }, b"a", b"b");
        let expected = format!(
            "[entry 7] exit code 1 in 0.12 s\nstdout (1 bytes):\n{OPEN}a\n{CLOSE}\nstderr (1 bytes):\n{OPEN}b\n{CLOSE}"
        );
        assert_eq!(both, expected);
    }

    #[test]
    fn a_timeout_is_no_exit_137() {
        let late = show(&CallOutcome::TimedOut { limit_ms: 120_000 }, b"", b"");
        assert!(late.contains("killed by Operator after the limit of 120 s"), "{late}");
        let killed = show(&CallOutcome::Exited { code: 137 }, b"", b"");
        assert!(killed.contains("exit code 137"), "{killed}");
        let signaled = show(&CallOutcome::Signaled { signal: 9 }, b"", b"");
        assert!(signaled.contains("signal 9 (not sent by Operator)"), "{signaled}");
    }

    #[test]
    fn a_long_output_is_cut_between_characters() {
        let (head, tail) = ("ä".repeat(20_000).into_bytes(), "€".repeat(9_000).into_bytes());
        let total = 1_300_000_000;
        let dropped = total - (head.len() + tail.len()) as u64;
        let captured = MaskedStream { head, tail, total, dropped, masked: 0 };
        let exited = CallOutcome::Exited { code: 0 };
        let text = presenter(Cut::default()).result(1, &exited, Duration::ZERO, &captured, &stream(b""), None);
        assert!(!text.contains('\u{fffd}'), "{text}");
        assert!(text.contains("stdout (1,300,000,000 bytes):"));
        let shown = 16_384 + 16_383;
        assert!(text.contains(&format!("[… {} bytes left out …]", thousands(1_300_000_000 - shown))), "{text}");
    }

    #[test]
    fn what_fits_is_whole() {
        let all = vec![b'x'; 32 << 10];
        assert!(!show(&CallOutcome::Exited { code: 0 }, &all, b"").contains("left out"));
        let more = vec![b'x'; (32 << 10) + 1];
        assert!(show(&CallOutcome::Exited { code: 0 }, &more, b"").contains("[… 1 bytes left out …]"));
    }

    #[test]
    fn cleans_what_steers_a_terminal() {
        assert_eq!(clean("\u{1b}[1;31mred\u{1b}[0m\r\nb\rc\0d\u{7}\te"), "red\nb\nc\\0d\te");
        assert_eq!(clean("a\u{1b}]0;title\u{7}b\u{1b}]8;;x\u{1b}\\c\u{1b}(Bd"), "abcd");
        assert_eq!(clean("a\u{1b}]never ended\nnext"), "a\nnext");
        assert_eq!(clean("x\u{202e}y\u{e0041}z"), "xyz");
    }

    #[test]
    fn invalid_utf8_is_said_and_kept() {
        let text = show(&CallOutcome::Exited { code: 0 }, b"a\xffb", b"");
        assert!(text.contains("not all valid UTF-8") && text.contains("a\u{fffd}b"), "{text}");
        assert_eq!(record(&stream(b"a\xffb")).head, Bytes::Base64("Yf9i".to_owned()));
        assert_eq!(record(&stream(b"ab")).head, Bytes::Text("ab".to_owned()));
    }

    proptest! {
        #[test]
        fn never_panics_and_never_grows_much(head in proptest::collection::vec(any::<u8>(), 0..300), tail in proptest::collection::vec(any::<u8>(), 0..300), more in 0u64..1000) {
            let total = (head.len() + tail.len()) as u64 + more;
            let captured = MaskedStream { head, tail, total, dropped: more, masked: 0 };
            let exited = CallOutcome::Exited { code: 0 };
            let text = presenter(Cut { head: 50, tail: 50 }).result(1, &exited, Duration::ZERO, &captured, &stream(b""), None);
            let raw = ['\0', '\u{1b}'].iter().any(|c| text.contains(*c));
            prop_assert!(!raw);
            prop_assert!(text.len() < 800);
        }
    }
}
