//! What a judge says.

use crds::Severity;
use crds::invariant::InvariantState;
use jiff::Timestamp;

/// How an invariant stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Its name.
    pub name: String,
    /// That of its Incidents.
    pub severity: Severity,
    /// The worst of its keys.
    pub state: InvariantState,
    /// Since when it is in that state.
    pub since: Option<Timestamp>,
    /// What is violated, or why nobody can say.
    pub message: String,
    /// Each key; the empty one of an invariant without `forEach`.
    pub keys: Vec<KeyView>,
}

/// How one key of an invariant stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyView {
    /// Which.
    pub key: String,
    /// How it stands.
    pub state: InvariantState,
    /// Since when; of one that is violated since it began to be, its grace included.
    pub since: Option<Timestamp>,
    /// What is violated, or why nobody can say.
    pub message: String,
    /// It was violated and is not there any more. It stays so until it is forgotten or comes back.
    pub gone: bool,
}

/// A key that is in another state than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// The invariant.
    pub invariant: String,
    /// The key.
    pub key: String,
}

/// Whether everything holds.
#[derive(Clone, Debug)]
pub enum Proof {
    /// All of it, on readings that are new.
    Holds,
    /// These do not: the invariant, and how the key stands.
    Violated(Vec<(String, KeyView)>),
    /// Nobody can say yet: readings are missing, or something is in its grace.
    Unknown(Vec<(String, KeyView)>),
}
