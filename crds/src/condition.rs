//! Conditions: one pure merge that keeps transition times, so that a reconcile that learns nothing
//! new writes nothing new.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can say.
    Unknown,
}

impl ConditionStatus {
    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Sets one condition in a list; `lastTransitionTime` moves only when the status does.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    // The API server keeps whole seconds; a finer time would differ from what is read back.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let new = Condition {
        type_: type_.into(),
        status: status.as_str().into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time: Time(now),
    };
    match conditions.iter_mut().find(|c| c.type_ == type_) {
        Some(old) if old.status == new.status => {
            let since = old.last_transition_time.clone();
            *old = Condition { last_transition_time: since, ..new };
        }
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

/// The condition of a type, if it is there.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let mut list = Vec::new();
        set_condition(&mut list, "Accepted", ConditionStatus::True, "Valid", "fine", Some(1), at(10));
        set_condition(&mut list, "Accepted", ConditionStatus::True, "Valid", "still fine", Some(2), at(20));
        assert_eq!(list[0].last_transition_time.0, at(10));
        assert_eq!((list[0].message.as_str(), list[0].observed_generation), ("still fine", Some(2)));
        set_condition(&mut list, "Accepted", ConditionStatus::False, "Gone", "", Some(2), at(30));
        assert_eq!((list.len(), list[0].last_transition_time.0), (1, at(30)));
    }
}
