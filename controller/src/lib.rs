//! Operator: an autonomous SRE as a Kubernetes controller.
//!
//! The rooms of the house, in the order in which an incident walks through them:
//!
//! * [`run`] wires everything once; [`scope`] holds the watches and caches, [`context`] what every
//!   reconcile shares, [`status`], [`events`], [`metrics`] and [`http`] what the outside sees;
//! * [`leader`] is who may act at all: one controller of those that run, by a lease;
//! * [`incident`] and [`subject`] reconcile the resources (dereference, validate, plan, apply, status);
//! * [`tenancy`] says which namespace may name which projects and images;
//! * [`monitor`] looks at every Subject: [`probe`] is what reads, [`invariant`] what judges; it opens Incidents;
//! * [`alert`] takes alerts of others, which open Incidents as well; [`notice`] tells others when a person is needed;
//! * [`session`] keeps one task per (Incident, attempt) and the queue before it;
//! * [`agent`] is the loop: a model turn, its commands, the results, until it concludes;
//! * [`model`], [`sandbox`] and [`audit`] are its peers, each a trait, its real part and a fake;
//! * [`supervisor`] is the seat of the same binary inside the agent's container, [`gateway`] the one
//!   between that container and the engine, [`wall`] what closes its networks;
//! * [`fault`] is what the chapters of a demo do to a subject, and how that is taken back;
//! * [`redact`] masks secrets in what comes in from outside;
//! * [`printable`] makes lines for people of text that nobody vouches for, [`depth`] says how deep such JSON may be;
//! * [`probe`] reads what goes on in a subject, [`cel`] is the language in which that is judged;
//! * [`cli`] has one file a subcommand.

pub mod agent;
pub mod alert;
pub mod audit;
pub mod cel;
pub mod check;
pub mod cli;
pub mod config;
pub mod context;
pub mod demo_chapter;
pub mod depth;
pub mod events;
pub mod fault;
#[cfg(any(test, fuzzing, feature = "testing"))]
pub mod fuzz;
pub mod gateway;
pub mod halt;
pub mod http;
pub mod incident;
pub mod invariant;
pub mod json;
pub mod leader;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod notice;
pub mod probe;
mod processes;
pub mod redact;
pub mod run;
pub mod sandbox;
pub mod scope;
pub mod session;
pub mod status;
pub mod subject;
pub mod supervisor;
pub mod tenancy;
pub mod wall;

pub use audit_client::{columns, error, money, printable};
