//! What the controller and a gateway say to one another, in the frames of
//! [`supervisor::frames`](crate::supervisor::frames).
//!
//! The controller opens the stream, both say hello, and then the gateway asks for its changes to be put
//! on record and tells what came of them. What it has not been answered it says again on the next stream;
//! its numbers make that harmless.

use serde::{Deserialize, Serialize};

use crate::audit::entry::{Change, ChangeResult};
use crate::depth::is_shallow;

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// Why a stream ends when another one said hello: the gateway hears the last one only.
pub const TOOK_OVER: &str = "another stream took over";

/// From the controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromController {
    /// The first frame of a stream.
    Hello {
        /// The controller's [`VERSION`].
        version: u32,
        /// The session that it thinks this is.
        session: String,
        /// Its fencing token; one that is lower than one seen before is refused.
        epoch: u64,
    },
    /// The change's row is committed: it may happen.
    Committed {
        /// The gateway's number of the change.
        id: u64,
        /// The fencing token.
        epoch: u64,
    },
    /// The change cannot be put on record: it must not happen.
    Refused {
        /// The gateway's number of the change.
        id: u64,
        /// Why, in a sentence.
        reason: String,
        /// The fencing token.
        epoch: u64,
    },
    /// What came of a change is on record; the gateway may forget it.
    Noted {
        /// The gateway's number of the change.
        id: u64,
    },
    /// The session ends: no further change, and what is under way is ended. Answered by
    /// [`FromGateway::Closed`] once nothing is under way any more.
    Close {
        /// The fencing token.
        epoch: u64,
    },
    /// Asks whether anybody is there.
    Ping {
        /// Comes back in the [`FromGateway::Pong`].
        nonce: u64,
    },
}

/// From the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromGateway {
    /// Answers the hello.
    Hello {
        /// The gateway's [`VERSION`].
        version: u32,
        /// Its session.
        session: String,
        /// The highest fencing token that it has seen.
        epoch: u64,
        /// Chosen by chance when the process began: a gateway that was started again has another one, and
        /// its numbers of changes begin at 1 again.
        boot: u64,
    },
    /// A change waits to be put on record.
    Begin {
        /// The gateway's number of the change, from 1.
        id: u64,
        /// What is to happen.
        change: Box<Change>,
    },
    /// What came of a change that was allowed, or that was given up before an answer came.
    Done {
        /// The gateway's number of the change.
        id: u64,
        /// What came of it.
        result: Box<ChangeResult>,
    },
    /// Answers a close.
    Closed,
    /// Answers a ping.
    Pong {
        /// The ping's.
        nonce: u64,
    },
    /// The stream cannot go on; nothing follows.
    Error {
        /// Why, in a sentence.
        reason: String,
    },
}

impl FromGateway {
    /// Whether what it would put on record can be read again by everybody who reads entries.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Begin { change, .. } => is_shallow(&change.call),
            Self::Done { result, .. } => is_shallow(&result.details),
            Self::Hello { .. } | Self::Closed | Self::Pong { .. } | Self::Error { .. } => true,
        }
    }
}
