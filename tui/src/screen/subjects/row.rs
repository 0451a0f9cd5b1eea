//! What a Subject says of itself in a line.

use std::time::Duration;

use crds::Subject;
use crds::condition;
use crds::invariant::InvariantState;
use crds::subject::InvariantStatus;
use jiff::Timestamp;

use crate::glyphs::Glyphs;
use crate::theme::Role;
use crate::time;

/// How a Subject stands, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// An invariant is violated.
    Violated,
    /// Operator cannot look after it.
    Refused,
    /// An invariant is violated, and its grace is not over.
    Pending,
    /// Nobody can say.
    Unknown,
    /// It has nothing that could be judged.
    Unwatched,
    /// No session starts.
    Suspended,
    /// All invariants hold.
    Healthy,
}

impl State {
    /// The word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Violated => "Violated",
            Self::Refused => "Refused",
            Self::Pending => "Pending",
            Self::Unknown => "Unknown",
            Self::Unwatched => "Unwatched",
            Self::Suspended => "Suspended",
            Self::Healthy => "Healthy",
        }
    }
}

/// How a Subject stands.
#[must_use]
pub fn health(subject: &Subject) -> State {
    let status = subject.status.as_ref();
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let is = |name: &str, wanted: &str| condition::find(conditions, name).is_some_and(|found| found.status == wanted);
    let worst = status.iter().flat_map(|status| &status.invariants).map(|invariant| invariant.state).max();
    if is("Accepted", "False") {
        return State::Refused;
    }
    match worst {
        Some(InvariantState::Violated) => State::Violated,
        Some(InvariantState::Pending) => State::Pending,
        _ if subject.spec.suspend => State::Suspended,
        Some(InvariantState::Ok) => State::Healthy,
        None if subject.spec.invariants.is_empty() => State::Unwatched,
        Some(InvariantState::Unknown) | None => State::Unknown,
    }
}

/// A state's sign, and how it looks.
#[must_use]
pub fn sign(state: State, glyphs: &Glyphs) -> (&'static str, Role) {
    match state {
        State::Violated | State::Refused => (glyphs.bad, Role::Bad),
        State::Pending => (glyphs.alarm, Role::Warn),
        State::Unknown => (glyphs.ask, Role::Warn),
        State::Unwatched => (glyphs.ring, Role::Dim),
        State::Suspended => (glyphs.stop, Role::Warn),
        State::Healthy => (glyphs.dot, Role::Good),
    }
}

/// The invariants as they stand, the worst first.
pub(super) fn invariants(subject: &Subject) -> Vec<&InvariantStatus> {
    let mut invariants: Vec<_> = subject.status.iter().flat_map(|status| &status.invariants).collect();
    invariants.sort_by(|a, b| b.state.cmp(&a.state).then_with(|| a.name.cmp(&b.name)));
    invariants
}

/// How an invariant looks.
pub(super) fn invariant_sign(state: InvariantState, glyphs: &Glyphs) -> (&'static str, &'static str, Role) {
    match state {
        InvariantState::Ok => (glyphs.dot, "ok", Role::Good),
        InvariantState::Unknown => (glyphs.ask, "unknown", Role::Warn),
        InvariantState::Pending => (glyphs.alarm, "pending", Role::Warn),
        InvariantState::Violated => (glyphs.bad, "VIOLATED", Role::Bad),
    }
}

/// For how long the worst that is not well has been so.
pub(super) fn since(subject: &Subject, now: Timestamp) -> Option<Duration> {
    let all = invariants(subject);
    let worst = all.first().map(|invariant| invariant.state).filter(|state| *state != InvariantState::Ok)?;
    let since =
        all.iter().filter(|invariant| invariant.state == worst).filter_map(|invariant| invariant.since.as_ref());
    since.map(|at| at.0).min().map(|at| time::elapsed(at, now))
}

/// For how long it is looked at.
pub(super) fn observer(subject: &Subject, now: Timestamp) -> Option<Duration> {
    let started = subject.status.as_ref()?.observer.as_ref()?.started_at.as_ref()?;
    Some(time::elapsed(started.0, now))
}
