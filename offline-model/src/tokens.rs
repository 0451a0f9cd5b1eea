//! Counting tokens, roughly.

/// Four characters a token: near enough to see whether a budget or a cache works, and the same on
/// every machine.
const CHARS_PER_TOKEN: u64 = 4;

/// The tokens of a text; something is never nothing.
pub(crate) fn of(text: &str) -> u64 {
    of_chars(u64::try_from(text.chars().count()).unwrap_or(u64::MAX))
}

/// The tokens of so many characters.
pub(crate) fn of_chars(chars: u64) -> u64 {
    chars.div_ceil(CHARS_PER_TOKEN)
}

/// How many characters fit into so many tokens.
pub(crate) fn chars_in(tokens: u64) -> usize {
    usize::try_from(tokens.saturating_mul(CHARS_PER_TOKEN)).unwrap_or(usize::MAX)
}
