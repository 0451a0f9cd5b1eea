//! Probes: the observer's eyes. What is looked at is data of the Subject; no system's name is known here.
//!
//! * [`round`] has the shapes in which readings travel: one line of JSON a round, from the observer's output to the
//!   controller, which judges them;
//! * [`plan`] finds what is wrong with a probe and makes it ready, [`run`] runs it, [`output`] writes its rounds;
//! * one file for each kind of probe; [`docker`] is the one that the controller runs itself.
//!
//! A target that hangs, floods, lies or is gone is a reading that says so. Nothing that comes in takes more time than the
//! probe's limit, or more memory than there is for it.

mod answer;
mod client;
pub mod docker;
mod exec;
mod gather;
mod http;
mod mistake;
mod net;
pub mod output;
pub mod plan;
mod prometheus;
mod read_as;
mod redis;
mod room;
pub mod round;
pub mod run;
mod select;
mod tcp;
mod template;
mod tls;

pub use gather::line;
pub use mistake::Mistake;
pub use plan::mistakes;
pub use round::{Reading, Round};
pub use run::{Runner, once};
