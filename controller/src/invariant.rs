//! Invariants: what has to hold of a Subject, judged over what its probes read.
#![allow(missing_docs, unused, clippy::all, clippy::pedantic)]

use std::sync::Arc;
use std::time::Duration;

use crds::Severity;
use crds::incident::Violated;
use crds::invariant::InvariantState;
use jiff::Timestamp;
use serde::Serialize;

use crate::probe::Round;

pub struct Compiled;
#[derive(Clone, Debug)]
pub struct Mistake {
    pub path: String,
    pub message: String,
}
impl Compiled {
    pub fn new(spec: &crds::SubjectSpec) -> (Compiled, Vec<Mistake>) {
        (Compiled, vec![])
    }
}
pub struct Judge;
impl Judge {
    pub fn new(compiled: Arc<Compiled>) -> Self {
        Judge
    }
    pub fn take(&mut self, round: &Round) {}
    pub fn look(&mut self, now: Timestamp) -> Vec<Turned> {
        vec![]
    }
    pub fn views(&self) -> Vec<View> {
        vec![]
    }
    pub fn all_hold(&self, since: Timestamp, keys: &[Violated]) -> Proof {
        Proof::Holds
    }
    pub fn shown(&self) -> Shown {
        Shown::default()
    }
    pub fn readings_of(&self, invariant: &str, key: &str) -> Vec<String> {
        vec![]
    }
    pub fn longest_window(&self) -> Duration {
        Duration::ZERO
    }
    pub fn forget(&mut self, invariant: &str, key: &str) {}
}
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shown {}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    pub name: String,
    pub severity: Severity,
    pub state: InvariantState,
    pub since: Option<Timestamp>,
    pub message: String,
    pub keys: Vec<KeyView>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyView {
    pub key: String,
    pub state: InvariantState,
    pub since: Option<Timestamp>,
    pub message: String,
    pub gone: bool,
}
#[derive(Clone, Debug)]
pub struct Turned {
    pub invariant: String,
    pub key: String,
}
#[derive(Clone, Debug)]
pub enum Proof {
    Holds,
    Violated(Vec<(String, KeyView)>),
    Unknown(Vec<(String, KeyView)>),
}
