//! Sessions: one run of the agent on one attempt of one Incident.

pub mod id;

pub use id::SessionId;
