//! A prompt cache that costs no memory worth naming: it keeps hashes of prefixes.
//!
//! The real cache works on prefixes of blocks in the order tools, system, messages. A mark writes
//! the prefix that ends at it; a later request reads the longest prefix that it shares, looked for
//! at each of its marks and up to twenty blocks before. So a client that puts its marks in the
//! right places sees `cache_read_input_tokens` grow here as it would there, and one whose prompt
//! changes at the front sees that it pays again.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::hash::Fnv;
use crate::tokens;

/// How far before a mark the API looks for something that it knows.
const LOOK_BACK: usize = 20;
/// Prefixes kept at most.
const CAPACITY: usize = 4096;
/// Prefixes shorter than this are not cached, as in the real API.
pub(crate) const MIN_TOKENS: u64 = 1024;

/// How long a cached prefix lives after its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// Five minutes.
    Short,
    /// An hour.
    Long,
}

impl Ttl {
    fn duration(self) -> Duration {
        match self {
            Self::Short => Duration::from_mins(5),
            Self::Long => Duration::from_hours(1),
        }
    }
}

/// One block of the request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    /// The hash of everything up to the end of this block.
    prefix: u64,
    /// The tokens of everything up to the end of this block.
    tokens: u64,
    /// The mark on it, when there is one.
    pub(crate) ttl: Option<Ttl>,
    /// How many marks there are on it; more than one when the blocks inside have their own.
    pub(crate) marks: usize,
}

/// What a request costs at its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputUsage {
    /// Tokens behind the last mark.
    pub(crate) input: u64,
    /// Tokens read from the cache.
    pub(crate) read: u64,
    /// Tokens written for five minutes.
    pub(crate) written_short: u64,
    /// Tokens written for an hour.
    pub(crate) written_long: u64,
}

/// Splits a body into its blocks, in the order that the cache sees.
pub(crate) fn segments(body: &Value) -> Vec<Segment> {
    let mut walk = Walk::default();
    for tool in array(body.get("tools")) {
        walk.block("tools", tool);
    }
    walk.content("system", body.get("system"));
    for message in array(body.get("messages")) {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("");
        walk.content(role, message.get("content"));
    }
    // The request's own mark stands for one on its last block.
    if let (Some(ttl), Some(last)) = (mark_of(body), walk.segments.last_mut()) {
        last.marks += 1;
        last.ttl = Some(ttl);
    }
    walk.segments
}

/// The tokens of the whole request.
pub(crate) fn total(segments: &[Segment]) -> u64 {
    segments.last().map_or(0, |segment| segment.tokens)
}

/// A name for "this conversation, so far".
pub(crate) fn state(model: &str, segments: &[Segment]) -> u64 {
    let last = segments.last().map_or(0, |segment| segment.prefix);
    Fnv::new().add(model.as_bytes()).add(&last.to_be_bytes()).value()
}

fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn mark_of(value: &Value) -> Option<Ttl> {
    let mark = value.get("cache_control").filter(|mark| !mark.is_null())?;
    match mark.get("ttl").and_then(Value::as_str) {
        Some("1h") => Some(Ttl::Long),
        _ => Some(Ttl::Short),
    }
}

/// Takes the marks out of a block and says how many there were.
fn unmarked(value: &Value) -> (Value, usize, Option<Ttl>) {
    let mut plain = value.clone();
    let mut ttl = mark_of(value);
    let mut marks = usize::from(ttl.is_some());
    if let Some(fields) = plain.as_object_mut() {
        // `shift_remove` keeps the order of the other fields, and with it the hash.
        fields.shift_remove("cache_control");
        if let Some(parts) = fields.get_mut("content").and_then(Value::as_array_mut) {
            for part in parts {
                if let Some(inner) = mark_of(part) {
                    marks += 1;
                    ttl = Some(inner);
                }
                if let Some(fields) = part.as_object_mut() {
                    fields.shift_remove("cache_control");
                }
            }
        }
    }
    (plain, marks, ttl)
}

struct Walk {
    hash: Fnv,
    tokens: u64,
    segments: Vec<Segment>,
}

impl Default for Walk {
    fn default() -> Self {
        Self { hash: Fnv::new(), tokens: 0, segments: Vec::new() }
    }
}

impl Walk {
    fn content(&mut self, part: &str, content: Option<&Value>) {
        match content {
            Some(Value::String(text)) if text.is_empty() => {}
            // A string is shorthand for one text block, and cached as such.
            Some(Value::String(text)) => self.block(part, &json!({"type": "text", "text": text})),
            other => {
                for block in array(other) {
                    self.block(part, block);
                }
            }
        }
    }

    fn block(&mut self, part: &str, value: &Value) {
        let (plain, marks, ttl) = unmarked(value);
        let text = plain.to_string();
        self.hash.add(part.as_bytes()).add(text.as_bytes());
        self.tokens += match plain.get("text").and_then(Value::as_str) {
            Some(words) => tokens::of(words),
            None => tokens::of(&text),
        };
        self.segments.push(Segment { prefix: self.hash.value(), tokens: self.tokens, ttl, marks });
    }
}

/// The prefixes seen so far.
#[derive(Debug)]
pub(crate) struct PrefixCache {
    min_tokens: u64,
    known: HashMap<u64, (Instant, Ttl)>,
    order: VecDeque<u64>,
}

impl PrefixCache {
    /// An empty cache that ignores prefixes shorter than `min_tokens`.
    pub(crate) fn new(min_tokens: u64) -> Self {
        Self { min_tokens, known: HashMap::new(), order: VecDeque::new() }
    }

    /// Accounts for a request and remembers its marked prefixes.
    pub(crate) fn account(&mut self, model: &str, segments: &[Segment], now: Instant) -> InputUsage {
        let total = total(segments);
        let read = self.longest_known(model, segments, now);
        let mut usage = InputUsage { read, ..InputUsage::default() };
        let mut covered = read;
        for segment in segments {
            let Some(ttl) = segment.ttl else { continue };
            if segment.tokens < self.min_tokens {
                continue;
            }
            self.remember(key(model, segment), ttl, now);
            let written = segment.tokens.saturating_sub(covered);
            covered = covered.max(segment.tokens);
            match ttl {
                Ttl::Short => usage.written_short += written,
                Ttl::Long => usage.written_long += written,
            }
        }
        usage.input = total.saturating_sub(covered);
        usage
    }

    fn longest_known(&mut self, model: &str, segments: &[Segment], now: Instant) -> u64 {
        let mut best = 0;
        for (index, _) in segments.iter().enumerate().filter(|(_, s)| s.ttl.is_some()) {
            let from = index.saturating_sub(LOOK_BACK);
            for segment in segments.get(from..=index).unwrap_or_default().iter().rev() {
                if self.refresh(key(model, segment), now) {
                    best = best.max(segment.tokens);
                    break;
                }
            }
        }
        best
    }

    /// True when the prefix is there; using it keeps it alive.
    fn refresh(&mut self, key: u64, now: Instant) -> bool {
        match self.known.get_mut(&key) {
            Some((used, ttl)) if now.saturating_duration_since(*used) <= ttl.duration() => {
                *used = now;
                true
            }
            _ => false,
        }
    }

    fn remember(&mut self, key: u64, ttl: Ttl, now: Instant) {
        if self.known.insert(key, (now, ttl)).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > CAPACITY {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

/// Every model has a cache of its own.
fn key(model: &str, segment: &Segment) -> u64 {
    Fnv::new().add(model.as_bytes()).add(&segment.prefix.to_be_bytes()).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(turns: usize) -> Value {
        let mark = json!({"type": "ephemeral"});
        let mut messages = Vec::new();
        for turn in 0..turns {
            messages
                .push(json!({"role": "user", "content": [{"type": "text", "text": format!("{turn}").repeat(400)}]}));
            messages.push(json!({"role": "assistant", "content": "ok"}));
        }
        messages.pop();
        messages[2 * (turns - 1)]["content"][0]["cache_control"] = mark.clone();
        json!({
            "system": [{"type": "text", "text": "s".repeat(4000), "cache_control": mark}],
            "messages": messages,
        })
    }

    #[test]
    fn a_growing_conversation_reads_what_it_wrote() {
        let mut cache = PrefixCache::new(1000);
        let now = Instant::now();
        let first = cache.account("m", &segments(&body(1)), now);
        assert_eq!((first.read, first.written_short, first.input), (0, 1100, 0));
        let second = cache.account("m", &segments(&body(2)), now);
        assert_eq!((second.read, second.written_short, second.input), (1100, 101, 0));
        let other = cache.account("other", &segments(&body(2)), now);
        assert_eq!(other.read, 0, "a model does not read another's cache");
    }

    #[test]
    fn a_prefix_dies_when_nobody_uses_it() {
        let mut cache = PrefixCache::new(1000);
        let now = Instant::now();
        cache.account("m", &segments(&body(1)), now);
        let late = cache.account("m", &segments(&body(1)), now + Duration::from_secs(301));
        assert_eq!(late.read, 0);
    }

    #[test]
    fn short_prompts_and_unmarked_ones_are_not_cached() {
        let mut cache = PrefixCache::new(MIN_TOKENS);
        let small = json!({"cache_control": {"type": "ephemeral"}, "messages": [{"role": "user", "content": "hello"}]});
        for _ in 0..2 {
            let usage = cache.account("m", &segments(&small), Instant::now());
            assert_eq!((usage.read, usage.written_short, usage.input), (0, 0, 2));
        }
    }

    #[test]
    fn marks_do_not_change_the_state() {
        let marked = segments(&body(2));
        let mut plain = body(2);
        plain["system"][0]["cache_control"] = Value::Null;
        assert_eq!(state("m", &marked), state("m", &segments(&plain)));
    }
}
