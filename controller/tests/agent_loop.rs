//! The agent's loop against fakes of everything: what it records, runs, sends, and how it ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests
#![allow(clippy::large_futures)] // whole sessions, each awaited by one test

#[path = "agent_loop/compact.rs"]
mod compact;
#[path = "agent_loop/crash.rs"]
mod crash;
#[path = "agent_loop/ends.rs"]
mod ends;
#[path = "agent_loop/faults.rs"]
mod faults;
#[path = "agent_loop/order.rs"]
mod order;
#[path = "agent_loop/orders.rs"]
mod orders;
#[path = "agent_loop/postgres.rs"]
mod postgres;
#[path = "agent_loop/rebuild.rs"]
mod rebuild;
#[path = "agent_loop/resume.rs"]
mod resume;
#[path = "agent_loop/rig.rs"]
mod rig;
#[path = "agent_loop/secrets.rs"]
mod secrets;
#[path = "agent_loop/verify.rs"]
mod verify;
