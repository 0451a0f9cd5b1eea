//! The Anthropic Messages API.

/// A client of the Messages API.
#[derive(Debug)]
pub struct Anthropic;
