//! How much of everything a gateway takes, and how long it waits: what comes in is hostile, and nothing
//! may grow or wait without an end.

use std::time::Duration;

/// The bounds of a gateway. Tests make them shorter.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many connections of the agent stand at once; further ones wait.
    pub connections: usize,
    /// How long a request's head may take, and the pause between two requests.
    pub head: Duration,
    /// How long a JSON body may take.
    pub body: Duration,
    /// How large a JSON body may be.
    pub body_bytes: usize,
    /// How long connecting to the engine may take.
    pub connect: Duration,
    /// How long an answer may take that is not a stream.
    pub answer: Duration,
    /// How large an answer may be that is read whole.
    pub answer_bytes: usize,
    /// How long a change is held for its row.
    pub held: Duration,
    /// How many changes may stand that are held, under way or not yet noted.
    pub changes: usize,
    /// How many bytes of announced changes are kept.
    pub change_bytes: usize,
    /// How long what is under way gets to end after a close.
    pub close: Duration,
    /// How old what is known of the subject may be for a call that changes nothing.
    pub fresh: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            body_bytes: 1 << 20,
            connect: Duration::from_secs(5),
            answer: Duration::from_mins(1),
            answer_bytes: 16 << 20,
            held: Duration::from_secs(30),
            changes: 256,
            change_bytes: 16 << 20,
            close: Duration::from_secs(5),
            fresh: Duration::from_secs(1),
        }
    }
}
