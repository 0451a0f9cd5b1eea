//! The text format of Prometheus, and of OpenMetrics as far as it is the same: a page is read as it comes, and only the
//! series that somebody wants are kept of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::series;

/// The longest line that is read.
const LONGEST_LINE: usize = 64 << 10;
/// Series that are kept of one page.
const MOST_SERIES: usize = 5000;

/// What a family's samples are called, beside its own name.
const SUFFIXES: [&str; 7] = ["_bucket", "_count", "_sum", "_total", "_created", "_info", "_gcount"];

/// A page while it is read.
pub(super) struct Page<'a> {
    wanted: &'a BTreeSet<String>,
    /// Families that are wanted and stand on the page.
    families: BTreeSet<String>,
    found: BTreeMap<String, Vec<Value>>,
    series: usize,
    kept: usize,
    line: Vec<u8>,
    number: u64,
    ended: bool,
}

impl<'a> Page<'a> {
    pub(super) fn new(wanted: &'a BTreeSet<String>) -> Self {
        Self {
            wanted,
            families: BTreeSet::new(),
            found: BTreeMap::new(),
            series: 0,
            kept: 0,
            line: Vec::new(),
            number: 0,
            ended: false,
        }
    }

    /// About how many bytes the kept series have.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// Reads on.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.line.is_empty() {
                self.take(line)?;
            } else {
                self.append(line)?;
                let line = std::mem::take(&mut self.line);
                self.take(&line)?;
            }
        }
        self.append(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.line.extend_from_slice(bytes);
        if self.line.len() > LONGEST_LINE {
            return Err(format!("line {} of the page of metrics is longer than {LONGEST_LINE} bytes", self.number + 1));
        }
        Ok(())
    }

    /// The value of the whole page: a map from a metric's name to its series. A metric that is on the page and has none
    /// is an empty list; one that is not there at all is missing. `framed`: whether it is sure that this is the end.
    pub(super) fn end(mut self, framed: bool) -> Result<Value, String> {
        if !self.line.is_empty() {
            if !framed && self.line != b"# EOF" {
                return Err("the page of metrics ends within a line".into());
            }
            let line = std::mem::take(&mut self.line);
            self.take(&line)?;
        }
        for family in self.families {
            self.found.entry(family).or_default();
        }
        let found = self.found.into_iter().map(|(name, all)| (name, Value::Array(all)));
        Ok(Value::Object(found.collect()))
    }

    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        self.number += 1;
        if self.ended {
            return Ok(());
        }
        let wrong = |number: u64, what: &str| {
            Err(format!("line {number} of the page is not in the text format of Prometheus: {what}"))
        };
        let Ok(line) = std::str::from_utf8(line) else { return wrong(self.number, "it is not UTF-8") };
        if line.len() > LONGEST_LINE {
            return wrong(self.number, "it is too long");
        }
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() {
            return Ok(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            self.comment(comment);
            return Ok(());
        }
        // Of what nobody wants only the beginning is looked at.
        if let Some(name) = plain_name(line)
            && !self.wants(name)
        {
            let next = line[name.len()..].chars().next();
            return if matches!(next, Some(' ' | '\t' | '{')) { Ok(()) } else { wrong(self.number, "the value is missing") };
        }
        match sample(line) {
            Ok(sample) => {
                if self.wants(&sample.name) {
                    self.keep(sample, line.len())?;
                }
                Ok(())
            }
            Err(what) => wrong(self.number, what),
        }
    }

    fn comment(&mut self, comment: &str) {
        let mut words = comment.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("EOF"), None) => self.ended = comment == " EOF",
            (Some("HELP" | "TYPE" | "UNIT"), Some(name)) => {
                let name = name.trim_matches('"');
                if self.wanted.contains(name) {
                    self.families.insert(name.to_owned());
                }
            }
            _ => {}
        }
    }

    /// By its own name, or by that of a family that was declared.
    fn wants(&self, name: &str) -> bool {
        self.wanted.contains(name)
            || SUFFIXES.iter().any(|suffix| name.strip_suffix(suffix).is_some_and(|name| self.families.contains(name)))
    }

    fn keep(&mut self, sample: Sample, length: usize) -> Result<(), String> {
        self.series += 1;
        self.kept += length;
        if self.series > MOST_SERIES {
            return Err(format!("the named metrics have more than {MOST_SERIES} series"));
        }
        self.found.entry(sample.name).or_default().push(series(sample.labels, sample.value));
        Ok(())
    }
}

struct Sample {
    name: String,
    labels: Map<String, Value>,
    value: f64,
}

/// Reads a line: `name{label="value",…} number [timestamp] [# exemplar]`, or with the name in quotation marks as the
/// first of the braces.
fn sample(line: &str) -> Result<Sample, &'static str> {
    let name = plain_name(line);
    let mut rest = line[name.map_or(0, str::len)..].trim_start_matches([' ', '\t']);
    let mut name = name.map(str::to_owned);
    let mut labels = Map::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let key = if rest.starts_with('"') {
                let (key, after) = quoted(rest)?;
                rest = after;
                key
            } else {
                let key = plain_name(rest).ok_or("a label has no name")?;
                rest = &rest[key.len()..];
                key.to_owned()
            };
            rest = rest.trim_start_matches([' ', '\t']);
            match rest.strip_prefix('=') {
                Some(after) => {
                    let (value, after) = quoted(after.trim_start_matches([' ', '\t']))?;
                    labels.insert(key, Value::String(value));
                    rest = after.trim_start_matches([' ', '\t']);
                }
                // Names that need quotation marks stand inside of the braces.
                None if name.is_none() => name = Some(key),
                None => return Err("a label has no value"),
            }
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None if rest.starts_with('}') => {}
                None => return Err("the labels do not end"),
            }
        }
    }
    let name = name.ok_or("the name is missing")?;
    let value = rest.split([' ', '\t']).find(|word| !word.is_empty()).ok_or("the value is missing")?;
    let value = value.parse().map_err(|_| "the value is no number")?;
    Ok(Sample { name, labels, value })
}

/// The name without quotation marks at the beginning of a text.
fn plain_name(text: &str) -> Option<&str> {
    let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')).count();
    let name = &text[..length];
    (length > 0 && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
}

/// A text in quotation marks, and what comes behind it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let inside = text.strip_prefix('"').ok_or("a label's value has no quotation marks")?;
    let mut value = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &inside[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                Some((_, c)) => value.extend(['\\', c]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("a quotation mark is missing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(page: &str, wanted: &[&str]) -> Result<Value, String> {
        read_in(page.as_bytes(), wanted, usize::MAX, true)
    }

    fn read_in(page: &[u8], wanted: &[&str], step: usize, framed: bool) -> Result<Value, String> {
        let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
        let mut read = Page::new(&wanted);
        for chunk in page.chunks(step.min(page.len().max(1))) {
            read.feed(chunk)?;
        }
        read.end(framed)
    }

    /// The example of the format's documentation.
    const DOCUMENTED: &str = r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# Finally a summary, which has a complex representation, too:
# HELP rpc_duration_seconds A summary of the RPC duration in seconds.
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds{quantile="0.99"} NaN
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
"#;

    #[test]
    fn the_documented_example_is_read() {
        let wanted = [
            "http_requests_total",
            "msdos_file_access_time_seconds",
            "metric_without_timestamp_and_labels",
            "something_weird",
            "http_request_duration_seconds",
            "rpc_duration_seconds",
        ];
        let expected = json!({
            "http_request_duration_seconds": [],
            "http_request_duration_seconds_bucket": [
                {"labels": {"le": "0.05"}, "value": 24054.0},
                {"labels": {"le": "+Inf"}, "value": 144_320.0}
            ],
            "http_request_duration_seconds_count": [{"labels": {}, "value": 144_320.0}],
            "http_request_duration_seconds_sum": [{"labels": {}, "value": 53423.0}],
            "http_requests_total": [
                {"labels": {"method": "post", "code": "200"}, "value": 1027.0},
                {"labels": {"method": "post", "code": "400"}, "value": 3.0}
            ],
            "metric_without_timestamp_and_labels": [{"labels": {}, "value": 12.47}],
            "msdos_file_access_time_seconds": [{
                "labels": {"path": "C:\\DIR\\FILE.TXT", "error": "Cannot find file:\n\"FILE.TXT\""},
                "value": 1_458_255_915.0
            }],
            "rpc_duration_seconds": [
                {"labels": {"quantile": "0.01"}, "value": 3102.0},
                {"labels": {"quantile": "0.99"}, "value": "NaN"}
            ],
            "rpc_duration_seconds_count": [{"labels": {}, "value": 2693.0}],
            "rpc_duration_seconds_sum": [{"labels": {}, "value": 17_560_473.0}],
            "something_weird": [{"labels": {"problem": "division by zero"}, "value": "+Inf"}]
        });
        assert_eq!(read(DOCUMENTED, &wanted), Ok(expected));
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        assert_eq!(
            read(DOCUMENTED, &["rpc_duration_seconds_count", "not_there"]),
            Ok(json!({"rpc_duration_seconds_count": [{"labels": {}, "value": 2693.0}]}))
        );
        assert_eq!(read("# TYPE errors_total counter\n", &["errors_total"]), Ok(json!({"errors_total": []})));
    }

    #[test]
    fn openmetrics_is_read_without_its_exemplars() {
        let page = "# TYPE foo counter\n# UNIT foo seconds\n\
                    foo_total{a=\"b\"} 17.0 1520879607.789 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879607.7\n\
                    foo_created{a=\"b\"} 1.5\n# EOF\nnot a page any more <";
        assert_eq!(
            read(page, &["foo"]),
            Ok(json!({
                "foo": [],
                "foo_created": [{"labels": {"a": "b"}, "value": 1.5}],
                "foo_total": [{"labels": {"a": "b"}, "value": 17.0}]
            }))
        );
    }

    #[test]
    fn names_in_quotation_marks_are_read() {
        let page = "# TYPE \"my.metric\" gauge\n{\"my.metric\", \"a.b\"=\"c\", d=\"e\",} 1\n{\"other\"} 2\nup{ } 3\n";
        assert_eq!(
            read(page, &["my.metric", "up"]),
            Ok(json!({
                "my.metric": [{"labels": {"a.b": "c", "d": "e"}, "value": 1.0}],
                "up": [{"labels": {}, "value": 3.0}]
            }))
        );
    }

    #[test]
    fn what_is_no_page_is_said_with_its_line() {
        for (page, said) in [
            ("<html>", "line 1 of the page is not in the text format of Prometheus: the name is missing"),
            ("a 1\n\nup x\n", "line 3 of the page is not in the text format of Prometheus: the value is no number"),
            ("up{a=\"b} 1\n", "line 1 of the page is not in the text format of Prometheus: a quotation mark is missing"),
            ("up{a=b} 1\n", "line 1 of the page is not in the text format of Prometheus: a label's value has no quotation marks"),
            ("up{a} 1\n", "line 1 of the page is not in the text format of Prometheus: a label has no value"),
            ("up{a=\"b\" c=\"d\"} 1", "line 1 of the page is not in the text format of Prometheus: the labels do not end"),
            ("up\n", "line 1 of the page is not in the text format of Prometheus: the value is missing"),
            ("other\n", "line 1 of the page is not in the text format of Prometheus: the value is missing"),
        ] {
            assert_eq!(read(page, &["up"]), Err(said.into()), "{page}");
        }
        assert!(read_in(b"up 1\n\xff\n", &["up"], 2, true).unwrap_err().contains("line 2"));
    }

    #[test]
    fn a_page_that_was_cut_off_is_not_half_read() {
        assert_eq!(read_in(b"up 12", &["up"], 3, false), Err("the page of metrics ends within a line".into()));
        assert_eq!(read_in(b"up 12", &["up"], 3, true), Ok(json!({"up": [{"labels": {}, "value": 12.0}]})));
        assert!(read_in(b"up 12\n# EOF", &["up"], 3, false).is_ok());
    }

    #[test]
    fn a_page_is_bounded() {
        let long = vec![b'a'; LONGEST_LINE + 1];
        assert!(read_in(&long, &["up"], 1000, true).unwrap_err().contains("longer than"));
        let many = "up 1\n".repeat(MOST_SERIES + 1);
        assert_eq!(read(&many, &["up"]), Err("the named metrics have more than 5000 series".into()));
        assert!(read(&many, &["down"]).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, step in 1usize..16) {
            let _ = read_in(&bytes, &["a"], step, true);
        }

        #[test]
        fn nothing_like_a_page_makes_it_panic(text in "([a-c]{1,2}|[ {}=\",#\\\\\n1.]|é){0,40}") {
            let _ = read(&text, &["a", "b"]);
        }

        #[test]
        fn the_pieces_in_which_it_comes_do_not_matter(step in 1usize..200) {
            let wanted = ["http_requests_total", "rpc_duration_seconds", "something_weird"];
            prop_assert_eq!(read_in(DOCUMENTED.as_bytes(), &wanted, step, true), read(DOCUMENTED, &wanted));
        }
    }
}
