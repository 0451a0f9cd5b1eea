//! What lies on a cut.
//!
//! The supervisor keeps the first and the last half megabyte of a stream and drops what is between,
//! before anybody here sees it. A secret that lies on that cut has no look by which it could be known,
//! so what stands there is masked whatever it is: up to the end of the last word before the cut, and the
//! rest of the line behind it.

use super::mark;
use super::scan::Found;

/// More than this is not masked because of a cut. No secret in one piece is longer, but for those that
/// say so at their begin.
const REACH: usize = 8 << 10;

/// Where a piece of text was cut from the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edges {
    /// Something is missing before it.
    pub start: bool,
    /// Something is missing behind it.
    pub end: bool,
}

impl Edges {
    /// Nothing is missing.
    pub const WHOLE: Self = Self { start: false, end: false };
}

pub(super) fn find(data: &[u8], edges: Edges, found: &mut Vec<Found<'_>>) {
    if edges.end {
        let reach = data.get(data.len().saturating_sub(REACH)..).unwrap_or_default();
        let length = reach.iter().rev().take_while(|byte| !separates(**byte)).count();
        found.push(Found { start: data.len() - length, end: data.len(), kind: mark::CUT });
    }
    if edges.start {
        let reach = data.get(..data.len().min(REACH)).unwrap_or_default();
        // What was before is not known, so the first line may be the rest of anything.
        let end = memchr::memchr3(b'\n', b'\r', 0, reach).unwrap_or_else(|| {
            let rest = data.get(reach.len()..).unwrap_or_default();
            reach.len()
                + rest.iter().take(REACH).take_while(|byte| !separates(**byte) && !matches!(byte, b'"' | b',')).count()
        });
        found.push(Found { start: 0, end, kind: mark::CUT });
    }
}

fn separates(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0
}
