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
#[error("an event of the stream is larger than {0} bytes")]
pub(super) struct TooLarge(usize);

/// Cuts bytes into lines and lines into events. Lines end with LF, CRLF or CR; comments and fields
/// that are not needed are left out.
#[derive(Debug)]
pub(super) struct SseParser {
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The first line may begin with a byte order mark.
    began: bool,
    /// The most that one event may hold.
    limit: usize,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::limited(LIMIT)
    }
}

impl SseParser {
    /// For events that hold no more than this.
    pub(super) fn limited(limit: usize) -> Self {
        let (line, name, data) = (Vec::new(), String::new(), String::new());
        Self { line, name, data, has_data: false, after_cr: false, began: false, limit }
    }

    /// The bytes that it holds of the event that is not whole yet.
    #[cfg(any(test, fuzzing, feature = "testing"))]
    pub(super) fn held(&self) -> usize {
        self.line.len() + self.name.len() + self.data.len()
    }

    /// Takes bytes up to the end of the next event, and gives that event. `None` if they end before it does; then all
    /// of them are taken.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<SseEvent>, TooLarge> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes.first() == Some(&b'\n') {
                *bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + self.data.len() + piece.len() > self.limit {
                return Err(TooLarge(self.limit));
            }
            self.line.extend_from_slice(piece);
            *bytes = rest;
            if let Some((ending, rest)) = rest.split_first() {
                self.after_cr = *ending == b'\r';
                *bytes = rest;
                if let Some(event) = self.end_line() {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
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

    /// The events that these pieces complete, and whether one was too large.
    fn read<'a>(parser: &mut SseParser, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<SseEvent>, bool) {
        let mut events = Vec::new();
        for mut piece in pieces {
            loop {
                match parser.next(&mut piece) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(TooLarge(_)) => return (events, true),
                }
            }
        }
        (events, false)
    }

    #[test]
    fn reads_every_kind_of_line() {
        let mut parser = SseParser::default();
        let text = "\u{feff}: hello\r\nevent: a\r\ndata: one\r\ndata:two\r\nid: 7\r\n\r\ndata\n\nevent: lost\n\nevent:b\rdata:  x\r\r";
        let (events, _) = read(&mut parser, [text.as_bytes()]);
        assert_eq!(events, [event("a", "one\ntwo"), event("", ""), event("b", " x")]);
    }

    #[test]
    fn an_event_without_its_end_is_none() {
        assert_eq!(read(&mut SseParser::default(), [b"data: cut\n".as_slice()]), (Vec::new(), false));
    }

    #[test]
    fn a_giant_line_is_refused() {
        let piece = vec![b'x'; 1 << 20];
        let pieces = (0..17).map(|_| piece.as_slice());
        assert_eq!(read(&mut SseParser::default(), pieces), (Vec::new(), true));
    }

    #[test]
    fn what_came_whole_before_a_giant_is_heard() {
        let text = b"data: 1\n\ndata: 23456789\n\n";
        for size in [1, 3, text.len()] {
            let (events, is_too_large) = read(&mut SseParser::limited(8), text.chunks(size));
            assert_eq!((events, is_too_large), (vec![event("", "1")], true), "{size}");
        }
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(cuts in proptest::collection::vec(0usize..80, 0..12)) {
            let text = "event: ä\r\ndata: {\"x\":\"é€𝄞\"}\r\n\r\n: c\ndata: 1\ndata: 2\r\rdata: 3\n\n".as_bytes();
            let whole = read(&mut SseParser::default(), [text]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]);
            prop_assert_eq!(read(&mut SseParser::default(), pieces), whole);
        }

        #[test]
        fn no_bytes_break_it(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let _ = read(&mut SseParser::default(), chunks.iter().map(Vec::as_slice));
        }
    }
}
