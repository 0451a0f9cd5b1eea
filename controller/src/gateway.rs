//! The gateway: the agent's Docker CLI works on its subject, and on nothing else.
//!
//! One gateway container per session holds the engine's socket, has no network and no capability, and
//! shares one directory with the agent's container, in which its own socket stands. What comes in there is
//! never forwarded: it is parsed into the types of [`request`], which know only what is allowed, aimed at
//! full ids of the subject's own things, and written anew. A call that changes something is held until the
//! controller has its [`Change`](crate::audit::entry::Change) on record and says so over the stream of
//! [`protocol`]; without an answer it is refused.
//!
//! * [`request`]: what may be asked, as types; reading it;
//! * [`call`]: what is sent to the engine for it, and what the ledger says of it;
//! * [`refusal`]: the sentence for what may not;
//! * [`host_access`]: which containers are as good as their host;
//! * [`replacement`]: what a new container may be;
//! * [`policy`]: what this session may;
//! * [`protocol`]: what gateway and controller say to one another;
//! * [`server`]: the process; `forward`: from a request to its answer, with `look`, `act`, `run` and `watch`;
//! * `unstarted`: a refusal where a stream was to begin;
//! * [`inventory`]: what is the subject's; [`answer`]: what of an answer is; `execs`: which execs are;
//! * [`changes`], [`ledger`], [`control`]: each change held until it is on record;
//! * [`engine`], `hijack`, [`body`], [`meter`]: the bytes in both directions; [`limits`]: the bounds of it all.

mod act;
pub mod answer;
pub mod body;
pub mod call;
pub mod changes;
pub mod control;
pub mod engine;
mod execs;
mod forward;
mod hijack;
pub mod host_access;
pub mod inventory;
pub mod ledger;
pub mod limits;
mod look;
pub mod meter;
pub mod policy;
pub mod protocol;
pub mod refusal;
pub mod replacement;
pub mod request;
mod run;
pub mod server;
mod unstarted;
mod watch;
