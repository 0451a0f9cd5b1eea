//! What the controller and the supervisor say to one another: JSON in frames of a known length.
//!
//! The frames themselves are in [`frames`](super::frames). Unknown fields are ignored, so that a newer controller can drive an older
//! supervisor; an unknown frame is an error, and the version in the hello is there to avoid it.

use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

use crate::sandbox::{CapturedStream, CommandEnd, CommandResult, OutputStream};

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// No frame is longer, in either direction. It holds a command of [`MAX_COMMAND`] bytes even if
/// each of them needs six as JSON, and a result with all of its output kept.
pub const MAX_FRAME: usize = 8 << 20;

/// No command's text is longer.
pub const MAX_COMMAND: usize = 1 << 20;

/// No stream keeps more than this at each end, so that a result fits in a frame.
pub const MAX_KEPT: usize = 1 << 20;

/// From the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// The first frame of a stream.
    Hello {
        /// The controller's [`VERSION`].
        version: u32,
        /// The session that it thinks this is.
        session: String,
        /// Its fencing token; one that is lower than one seen before is refused.
        epoch: u64,
    },
    /// Runs a command, once and never again under this number.
    Start {
        /// The command's number in the session.
        seq: i64,
        /// Text for `bash -c`.
        command: String,
        /// After this long its process group is killed.
        timeout_ms: u64,
        /// The fencing token.
        epoch: u64,
    },
    /// Asks for the outcome of a command; if it still runs, its output and end follow.
    Query {
        /// The command's number.
        seq: i64,
    },
    /// Kills a command.
    Kill {
        /// The command's number.
        seq: i64,
        /// The fencing token.
        epoch: u64,
    },
    /// Kills everything and ends the supervisor.
    Shutdown {
        /// The fencing token.
        epoch: u64,
    },
    /// Asks whether anybody is there.
    Ping {
        /// Comes back in the [`Reply::Pong`].
        nonce: u64,
    },
}

/// From the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// Answers the hello.
    Hello {
        /// The supervisor's [`VERSION`].
        version: u32,
        /// Its session.
        session: String,
        /// The highest fencing token that it has seen.
        epoch: u64,
        /// The commands that it knows.
        commands: Vec<Known>,
    },
    /// The command was accepted, or, after a query, still runs.
    Started {
        /// The command's number.
        seq: i64,
    },
    /// Output while a command runs. Where offsets leave a gap, something was left out.
    Output {
        /// The command's number.
        seq: i64,
        /// Which stream.
        stream: OutputStream,
        /// The place of the first byte in the whole stream.
        offset: u64,
        /// The bytes.
        #[serde(with = "as_base64")]
        data: Vec<u8>,
    },
    /// The command ended.
    Finished(Box<Outcome>),
    /// A start or query that was not followed.
    Refused {
        /// The command's number.
        seq: i64,
        /// Why, in a sentence.
        reason: String,
        /// What is known of the command.
        state: CommandState,
    },
    /// Answers a kill: the state in which the order found the command.
    Killing {
        /// The command's number.
        seq: i64,
        /// Its state before.
        state: CommandState,
    },
    /// Answers a ping.
    Pong {
        /// The ping's.
        nonce: u64,
    },
    /// Answers a shutdown; nothing follows.
    Bye,
    /// The stream cannot go on; nothing follows.
    Error {
        /// Why, in a sentence.
        reason: String,
    },
}

/// A command that the supervisor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its number.
    pub seq: i64,
    /// Its state.
    pub state: CommandState,
}

/// What is known of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// No start of this number was ever accepted.
    Unknown,
    /// It runs.
    Running,
    /// It ended, and its outcome can be had.
    Finished,
    /// It was started, and what became of it cannot be had any more.
    Lost,
    /// It was not started, and nothing will be any more: the supervisor is ending, and its container with it.
    Ending,
}

/// What came of a command, on the wire and in the spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The command's number.
    pub seq: i64,
    /// How it ended.
    pub end: CommandEnd,
    /// How long it ran.
    pub duration_us: u64,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// What else should be known, for example that the full text could not be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// [`CapturedStream`] as it goes over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The first bytes.
    #[serde(with = "as_base64")]
    pub head: Vec<u8>,
    /// The last bytes.
    #[serde(with = "as_base64")]
    pub tail: Vec<u8>,
    /// All bytes that were written.
    pub total: u64,
}

impl Outcome {
    /// A command that could not be started.
    #[must_use]
    pub fn not_started(seq: i64, reason: String) -> Self {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        Self { seq, end: CommandEnd::NotStarted { reason }, duration_us: 0, stdout, stderr, notes: Vec::new() }
    }

    /// The bytes that it keeps in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let kept = |stream: &Captured| stream.head.len() + stream.tail.len();
        256 + kept(&self.stdout) + kept(&self.stderr)
    }

    /// Whether its figures can be true.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let consistent = |s: &Captured| {
            let kept = (s.head.len() + s.tail.len()) as u64;
            if s.tail.is_empty() { s.total == kept } else { s.total > kept }
        };
        consistent(&self.stdout) && consistent(&self.stderr)
    }
}

impl From<CapturedStream> for Captured {
    fn from(stream: CapturedStream) -> Self {
        Self { head: stream.head, tail: stream.tail, total: stream.total }
    }
}

impl From<Captured> for CapturedStream {
    fn from(stream: Captured) -> Self {
        Self { head: stream.head, tail: stream.tail, total: stream.total }
    }
}

impl From<Outcome> for CommandResult {
    fn from(outcome: Outcome) -> Self {
        Self {
            end: outcome.end,
            duration: Duration::from_micros(outcome.duration_us),
            stdout: outcome.stdout.into(),
            stderr: outcome.stderr.into(),
        }
    }
}

mod as_base64 {
    use base64::Engine as _;

    use super::{Deserialize, Deserializer, STANDARD, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::frames::{decode, encode};

    #[test]
    fn a_result_goes_over_the_wire_and_back() {
        let stdout = Captured { head: vec![0, 255, 10], tail: vec![], total: 3 };
        let outcome = Outcome { end: CommandEnd::Exited { code: 3 }, stdout, ..Outcome::not_started(7, String::new()) };
        let frame = Reply::Finished(Box::new(outcome));
        assert_eq!(decode::<Reply>(&encode(&frame).unwrap()).unwrap(), frame);
    }

    #[test]
    fn the_worst_command_and_the_largest_result_fit() {
        let command = "\u{1}".repeat(MAX_COMMAND);
        encode(&Request::Start { seq: 1, command, timeout_ms: 1, epoch: 1 }).unwrap();
        let full = || Captured { head: vec![0; MAX_KEPT], tail: vec![0; MAX_KEPT], total: u64::MAX };
        let outcome = Outcome { stdout: full(), stderr: full(), ..Outcome::not_started(1, String::new()) };
        assert!(outcome.is_consistent());
        encode(&Reply::Finished(Box::new(outcome))).unwrap();
    }

    #[test]
    fn a_newer_peer_may_say_more() {
        let frame = br#"{"type":"ping","nonce":1,"mood":"good"}"#;
        assert_eq!(decode::<Request>(frame).unwrap(), Request::Ping { nonce: 1 });
        assert!(decode::<Request>(br#"{"type":"dance"}"#).is_err());
    }
}
