//! The server from outside: what a client sends and what it gets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// `json!` makes values, and a test reads best when it hands them over where it makes them.
#![allow(clippy::needless_pass_by_value)]

mod binary;
mod faults;
mod redis_readonly;
mod scripts;
mod server;
mod streaming;
mod subjects;
mod support;
mod validation;
