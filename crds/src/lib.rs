//! The API types of Operator, group `operator.dev`, version `v1alpha1`.
//!
//! Types, schemas and rules only: no client and no runtime, so that the controller, the terminal UI
//! and the tests can share them. `operator crd` prints the manifests that stand in `manifests/`.

// The derive writes each struct again inside a private module of its own, where the lint is wrong.
#![allow(unreachable_pub)]

pub mod alert;
pub mod condition;
pub mod demo_chapter;
pub mod fault;
pub mod incident;
pub mod invariant;
pub mod names;
pub mod probe;
pub mod subject;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use condition::{ConditionStatus, set_condition};
pub use demo_chapter::{DemoChapter, DemoChapterSpec, DemoChapterStatus};
pub use incident::{Incident, IncidentPhase, IncidentSpec, IncidentStatus, Severity};
pub use subject::{Subject, SubjectSpec, SubjectStatus};

/// The API group of all resources.
pub const GROUP: &str = "operator.dev";

/// The version of all resources.
pub const VERSION: &str = "v1alpha1";

/// All definitions, in the order in which they are to be applied.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![Subject::crd(), Incident::crd(), DemoChapter::crd()]
}
