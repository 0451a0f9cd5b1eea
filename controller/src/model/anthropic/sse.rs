//! Server-sent events, out of bytes that come in any pieces.

/// The most that one event may hold; the API's are a few kilobytes.
const LIMIT: usize = 16 << 20;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SseEvent {
    /// Its name; empty if it has none.
    pub(super) name: String,
    /// Its data; several lines are joined by line feeds.
    pub(super) data: String,
}

/// An event is larger than any that the API sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {} MiB", LIMIT >> 20)]
pub(super) struct TooLarge;

/// Cuts bytes into lines and lines into events. Lines end with LF, CRLF or CR; comments and fields
/// that are not needed are left out.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The first line may begin with a byte order mark.
    began: bool,
}

impl SseParser {
    /// Takes the next bytes, and gives the events that they complete.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<SseEvent>, TooLarge> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes.first() == Some(&b'\n') {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + self.data.len() + piece.len() > LIMIT {
                return Err(TooLarge);
            }
            self.line.extend_from_slice(piece);
            bytes = rest;
            if let Some((ending, rest)) = rest.split_first() {
                self.after_cr = *ending == b'\r';
                bytes = rest;
                events.extend(self.end_line());
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if self.began { &*line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        self.began = true;
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment (an empty field), an id, a retry time, or what may come.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        let event = SseEvent { name: std::mem::take(&mut self.name), data: std::mem::take(&mut self.data) };
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn reads_every_kind_of_line() {
        let mut parser = SseParser::default();
        let text = "\u{feff}: hello\r\nevent: a\r\ndata: one\r\ndata:two\r\nid: 7\r\n\r\ndata\n\nevent: lost\n\nevent:b\rdata:  x\r\r";
        let events = parser.push(text.as_bytes()).unwrap();
        assert_eq!(events, [event("a", "one\ntwo"), event("", ""), event("b", " x")]);
    }

    #[test]
    fn an_event_without_its_end_is_none() {
        assert_eq!(SseParser::default().push(b"data: cut\n").unwrap(), []);
    }

    #[test]
    fn a_giant_line_is_refused() {
        let mut parser = SseParser::default();
        let piece = vec![b'x'; 1 << 20];
        let refused = (0..17).find_map(|_| parser.push(&piece).err());
        assert_eq!(refused, Some(TooLarge));
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(cuts in proptest::collection::vec(0usize..80, 0..12)) {
            let text = "event: ä\r\ndata: {\"x\":\"é€𝄞\"}\r\n\r\n: c\ndata: 1\ndata: 2\r\rdata: 3\n\n".as_bytes();
            let whole = SseParser::default().push(text).unwrap();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut parser = SseParser::default();
            let mut events = Vec::new();
            for pair in cuts.windows(2) {
                events.extend(parser.push(&text[pair[0]..pair[1]]).unwrap());
            }
            prop_assert_eq!(events, whole);
        }

        #[test]
        fn no_bytes_break_it(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let mut parser = SseParser::default();
            for chunk in chunks {
                let _ = parser.push(&chunk);
            }
        }
    }
}
