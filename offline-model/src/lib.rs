//! A server of the Messages API that plays a script instead of thinking.
//!
//! Demos and tests of Operator need a model that is always there, costs nothing and answers the
//! same thing to the same conversation. This crate is that model, and it is honest about it: every
//! name it answers to starts with `offline-`, so that nobody takes a script for reasoning.
//!
//! It is meant to be *stricter* than a stand-in usually is. A request that the real API would
//! refuse is refused here with the same status and shape, so that a client that works against the
//! script does not meet its first 400 on the day when a key is put in.
//!
//! ```no_run
//! # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
//! use offline_model::{Options, ScriptSet, Server};
//!
//! let scripts = ScriptSet::new().with("hello", "rules: [{name: hi, answer: {text: Hello.}}]")?;
//! let server = Server::start(scripts, Options::default()).await?;
//! // Point a client at server.url() with the model name `offline-hello`.
//! server.shutdown().await;
//! # Ok(()) }
//! ```

mod answer;
mod attempts;
mod auto;
mod cache;
mod conversation;
mod error;
mod hash;
mod play;
mod request;
mod script;
mod server;
mod sse;
mod summary;
mod tokens;

pub use error::ApiError;
pub use script::{ScriptError, ScriptSet};
pub use server::{Handle, Options, RecordedRequest, ServeError, Server};

/// What every model name of this server starts with.
pub const PREFIX: &str = "offline-";
