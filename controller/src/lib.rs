//! Operator: an autonomous SRE as a Kubernetes controller.
//!
//! The rooms of the house, in the order in which an incident walks through them:
//!
//! * [`incident`] and [`subject`] reconcile the resources (dereference, validate, plan, apply, status);
//! * [`session`] keeps one task per (Incident, attempt) and the queue before it;
//! * [`agent`] is the loop: a model turn, its commands, the results, until it concludes;
//! * [`model`], [`sandbox`] and [`audit`] are its peers, each a trait, its real part and a fake;
//! * [`supervisor`] is the seat of the same binary inside the agent's container.

pub mod agent;
pub mod audit;
pub mod cli;
pub mod model;
pub mod money;
pub mod sandbox;
pub mod session;
pub mod supervisor;
