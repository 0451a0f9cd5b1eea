//! The audit trail for its readers: the command line and the terminal UI alike.
//!
//! * [`entry`] is what an entry can say, [`record`] a session's row, [`reader`] what a reader may ask;
//! * [`remote`] asks the audit API of the controller, through the API server or at an address; [`wire`] is what it
//!   answers, [`observations`] what the monitor says of a Subject;
//! * [`row`], [`hash`] and [`hex`] are the trail as its proof has it;
//! * [`redact`] masks secrets, [`printable`] makes lines of text that nobody vouches for;
//! * [`render`] shows sessions: text, Markdown, JSON.

pub mod columns;
pub mod entry;
pub mod error;
pub mod hash;
pub mod hex;
pub mod money;
pub mod observations;
pub mod printable;
pub mod reader;
pub mod record;
pub mod redact;
pub mod remote;
pub mod render;
pub mod row;
pub mod session;
#[cfg(any(test, feature = "testing"))]
pub mod story;
pub mod wire;

pub use entry::{
    Bytes, CallOutcome, ConclusionEntry, ControlEntry, ControlEvent, Entry, EntryBody, EntryKind, IncidentEntry,
    Outcome, ReasoningEntry, StreamRecord, ToolCallEntry, ToolResultEntry, TurnEntry,
};
pub use hash::Hash;
pub use reader::{AuditReader, Followed, SessionFilter, StoredEntry};
pub use record::{AuditError, NewSession, SessionRecord, SessionState};
pub use remote::{ConnectError, RemoteReader, Transport};
pub use session::SessionId;
