//! The model's event stream.

use serde_json::Value;

use crate::model::anthropic::{Read, read_in_pieces};
use crate::printable::is_dangerous;

/// The model's event stream. The first byte says in what pieces it comes, the second how long a single event may be,
/// so that the limit is met without megabytes.
///
/// # Panics
///
/// If something does not hold that must.
pub fn events(data: &[u8]) {
    let [piece, limit, stream @ ..] = data else { return };
    let limit = if *limit == 0 { usize::MAX } else { usize::from(*limit) * 16 };
    let whole = read_in_pieces(std::iter::once(stream), limit);
    let pieces = read_in_pieces(stream.chunks(usize::from(*piece).max(1)), limit);
    assert_eq!((&pieces.said, &pieces.end), (&whole.said, &whole.end), "pieces make a difference");
    for read in [&whole, &pieces] {
        // A byte that is no UTF-8 is kept as a character of three; a name may be as long as the data.
        let most = limit.saturating_mul(6).saturating_add(8).min(stream.len() * 3);
        assert!(read.most_held <= most, "{} bytes are held", read.most_held);
    }
    let Read { said, end, .. } = whole;
    assert!(said.iter().map(String::len).sum::<usize>() <= stream.len() * 3);
    let message = match end {
        None => return,
        Some(Err(reason)) => return assert!(!reason.chars().any(is_dangerous) && reason.len() < 4096, "{reason:?}"),
        Some(Ok(message)) => message,
    };
    assert_eq!(message.message["role"], "assistant");
    let content = message.message["content"].as_array();
    assert!(content.is_some_and(|blocks| blocks.iter().all(Value::is_object)), "{}", message.message);
    // It goes on record, and is read again within a page of entries.
    for value in [&message.message, &message.usage.raw, &message.stop_details] {
        let written = serde_json::to_string(&serde_json::json!({"entries": [{"data": {"more": value}}]}));
        let again = written.map(|written| serde_json::from_str::<Value>(&written));
        assert!(matches!(again, Ok(Ok(again)) if again["entries"][0]["data"]["more"] == *value), "{value}");
    }
    assert!(message.usage.total() >= message.usage.output);
}
