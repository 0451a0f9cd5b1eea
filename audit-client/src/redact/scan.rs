//! Where secrets stand in a text.
//!
//! One automaton finds the anchors of all rules in one pass; a rule looks only at the place of its
//! anchor, and never further than a limit. So plain text costs one pass, whatever the number of rules.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::custom::Custom;
use super::edges::{self, Edges};
use super::pairs::Word;
use super::{blocks, commands, mark, pairs, tokens};

/// A secret's place, from its first byte to the one behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'r> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: &'r str,
}

/// What an anchor leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    /// A token or header of this rule in [`tokens`].
    Token(usize),
    /// The name of something secret.
    Word(Word),
    /// The begin or end of a private key.
    Pem,
    /// A program that takes a password as an argument.
    Program(commands::Program),
}

struct Anchors {
    automaton: AhoCorasick,
    leads_to: Vec<Anchor>,
}

/// `None` cannot be: the patterns are constants, and a test builds them.
static ANCHORS: LazyLock<Option<Anchors>> = LazyLock::new(|| {
    let all = || tokens::anchors().chain(pairs::anchors()).chain(blocks::anchors()).chain(commands::anchors());
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(all().map(|(text, _)| text))
        .ok()?;
    Some(Anchors { automaton, leads_to: all().map(|(_, anchor)| anchor).collect() })
});

/// The secrets in `data`, in order and without overlaps.
pub(super) fn find<'r>(custom: &'r Custom, data: &[u8], edges: Edges) -> Vec<Found<'r>> {
    let mut found = find_plain(custom, data, edges);
    if memchr::memchr(ESCAPE, data).is_some() {
        let (plain, places) = without_sequences(data);
        let place = |at: usize| places.get(at).copied().unwrap_or(data.len());
        found.extend(find_plain(custom, &plain, edges).into_iter().filter(|one| one.start < one.end).map(|one| {
            Found { start: place(one.start), end: place(one.end - 1).saturating_add(1).min(data.len()), kind: one.kind }
        }));
    }
    merge(found)
}

const ESCAPE: u8 = 0x1b;

/// The text without sequences that colour it (a tool may paint a part of a secret), and where each of its bytes
/// stood.
fn without_sequences(data: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut plain, mut places) = (Vec::with_capacity(data.len()), Vec::with_capacity(data.len()));
    let mut at = 0;
    while let Some(byte) = data.get(at) {
        if *byte == ESCAPE && data.get(at + 1) == Some(&b'[') {
            let rest = data.get(at + 2..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| (0x20..=0x3f).contains(*byte)).count();
            at += 2 + length + usize::from(rest.get(length).is_some_and(|byte| (0x40..=0x7e).contains(byte)));
        } else {
            plain.push(*byte);
            places.push(at);
            at += 1;
        }
    }
    (plain, places)
}

fn find_plain<'r>(custom: &'r Custom, data: &[u8], edges: Edges) -> Vec<Found<'r>> {
    let mut found = Vec::new();
    if let Some(anchors) = &*ANCHORS {
        let mut secret_kinds = Vec::new();
        let mut marks = mark::ranges(data).peekable();
        for hit in anchors.automaton.find_iter(data) {
            // The words of a mark are nobody's name.
            while marks.next_if(|mark| mark.end <= hit.start()).is_some() {}
            if marks.peek().is_some_and(|mark| mark.start < hit.end()) {
                continue;
            }
            let Some(anchor) = anchors.leads_to.get(hit.pattern().as_usize()) else { continue };
            match *anchor {
                Anchor::Token(rule) => tokens::check(rule, data, hit.start(), &mut found),
                Anchor::Word(word) => {
                    pairs::check(word, data, hit.start(), hit.end(), &mut found);
                    if matches!(word, Word::Secret) && blocks::names_a_secret(data, hit.start(), hit.end()) {
                        secret_kinds.push(hit.start());
                    }
                }
                Anchor::Pem => blocks::private_key(data, hit.start(), hit.end(), edges, &mut found),
                Anchor::Program(program) => commands::check(program, data, hit.start(), hit.end(), &mut found),
            }
        }
        blocks::secrets(data, &secret_kinds, edges, &mut found);
    }
    custom.find(data, &mut found);
    if memchr::memmem::find(data, mark::PREFIX).is_some() {
        let marks: Vec<_> = mark::ranges(data).collect();
        found.retain(|one| !marks.iter().any(|mark| mark.start < one.start && one.start < mark.end));
    }
    edges::find(data, edges, &mut found);
    found
}

/// In order; what overlaps or touches inside another becomes one.
pub(super) fn merge(mut found: Vec<Found<'_>>) -> Vec<Found<'_>> {
    found.retain(|one| one.start < one.end);
    found.sort_by_key(|one| (one.start, std::cmp::Reverse(one.end)));
    let mut merged: Vec<Found<'_>> = Vec::with_capacity(found.len());
    for one in found {
        match merged.last_mut() {
            Some(last) if one.start < last.end => last.end = last.end.max(one.end),
            _ => merged.push(one),
        }
    }
    merged
}

/// Where the line of `at` begins. Entries of a process's environment end with NUL.
pub(super) fn line_start(data: &[u8], at: usize) -> usize {
    let before = data.get(..at).unwrap_or_default();
    memchr::memrchr3(b'\n', b'\r', 0, before).map_or(0, |end| end + 1)
}

/// Where the line of `at` ends, without its end of line.
pub(super) fn line_end(data: &[u8], at: usize) -> usize {
    let rest = data.get(at..).unwrap_or_default();
    memchr::memchr3(b'\n', b'\r', 0, rest).map_or(data.len(), |length| at + length)
}

/// At most `limit` bytes from `at`.
pub(super) fn window(data: &[u8], at: usize, limit: usize) -> &[u8] {
    data.get(at..data.len().min(at.saturating_add(limit))).unwrap_or_default()
}

/// Whether the word that begins at `at` is not the rest of a longer one.
pub(super) fn begins_a_word(data: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| data.get(before)).is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_anchors_can_be_built() {
        assert!(super::ANCHORS.is_some());
    }
}
