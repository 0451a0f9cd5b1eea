//! What the program changes: an attempt to cancel, one to begin, a note to the agent, a page of a demo to turn.
//!
//! Each is one patch of one resource. The person sees the very call before it is made.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rights::Right;

/// Who made a change, as the API server notes it.
pub const FIELD_MANAGER: &str = "operator-tui";

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "verb")]
pub enum Act {
    /// Stops an Incident's attempt.
    Cancel {
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// The attempt that is to end.
        attempt: i64,
    },
    /// Begins a new attempt.
    Retry {
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// The new attempt's number.
        attempt: i64,
    },
    /// Says something to the agent.
    Note {
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// What.
        text: String,
        /// Who, if that is known.
        author: Option<String>,
        /// When.
        at: Timestamp,
        /// Whether it is the first: the list is not there yet.
        first: bool,
    },
    /// Enters a chapter of a demo.
    Enter {
        /// Where.
        namespace: String,
        /// The `DemoChapter`.
        name: String,
        /// The number of times that it has then been entered.
        entered: i64,
    },
    /// Brings a demo back to its beginning.
    Reset {
        /// Where.
        namespace: String,
        /// One of its chapters.
        name: String,
        /// The number of times that it has then been reset.
        reset: i64,
    },
}

impl Act {
    /// What it is, in a few words.
    #[must_use]
    pub fn says(&self) -> String {
        match self {
            Self::Cancel { name, attempt, .. } => format!("cancel attempt {attempt} of {name}"),
            Self::Retry { name, attempt, .. } => format!("begin attempt {attempt} of {name}"),
            Self::Note { name, .. } => format!("tell the agent of {name}"),
            Self::Enter { name, .. } => format!("enter the chapter {name}"),
            Self::Reset { reset, .. } => format!("bring the demo back to its beginning (spec.reset: {reset})"),
        }
    }

    /// What it is once it is done.
    #[must_use]
    pub fn done(&self) -> String {
        match self {
            Self::Cancel { name, attempt, .. } => format!("attempt {attempt} of {name} is to end"),
            Self::Retry { name, attempt, .. } => format!("attempt {attempt} of {name} is to begin"),
            Self::Note { name, .. } => format!("the agent of {name} will hear it before its next turn"),
            Self::Enter { name, .. } => format!("entering {name}"),
            Self::Reset { .. } => "the demo is being brought back to its beginning".to_owned(),
        }
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.place().0
    }

    /// Its resource's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.place().1
    }

    fn place(&self) -> (&str, &str) {
        match self {
            Self::Cancel { namespace, name, .. }
            | Self::Retry { namespace, name, .. }
            | Self::Note { namespace, name, .. }
            | Self::Enter { namespace, name, .. }
            | Self::Reset { namespace, name, .. } => (namespace, name),
        }
    }

    /// The kind of resource, as it stands in a path.
    #[must_use]
    pub fn plural(&self) -> &'static str {
        match self {
            Self::Cancel { .. } | Self::Retry { .. } | Self::Note { .. } => "incidents",
            Self::Enter { .. } | Self::Reset { .. } => "demochapters",
        }
    }

    /// The right that it needs.
    #[must_use]
    pub fn right(&self) -> Right {
        match self {
            Self::Cancel { .. } | Self::Retry { .. } | Self::Note { .. } => Right::PatchIncidents,
            Self::Enter { .. } | Self::Reset { .. } => Right::PatchChapters,
        }
    }

    /// The patch.
    #[must_use]
    pub fn patch(&self) -> Value {
        match self {
            Self::Cancel { attempt, .. } => json!({"spec": {"cancel": attempt}}),
            Self::Retry { attempt, .. } => json!({"spec": {"attempt": attempt}}),
            Self::Enter { entered, .. } => json!({"spec": {"entered": entered}}),
            Self::Reset { reset, .. } => json!({"spec": {"reset": reset}}),
            Self::Note { text, author, at, first, .. } => {
                let mut note = json!({"text": text, "at": at});
                if let Some(author) = author {
                    note["author"] = json!(author);
                }
                let (path, value) = if *first { ("/spec/notes", json!([note])) } else { ("/spec/notes/-", note) };
                json!([{"op": "add", "path": path, "value": value}])
            }
        }
    }

    /// The path and query of the call.
    #[must_use]
    pub fn path(&self) -> String {
        format!(
            "/apis/{}/{}/namespaces/{}/{}/{}?fieldManager={FIELD_MANAGER}",
            crds::GROUP,
            crds::VERSION,
            self.namespace(),
            self.plural(),
            self.name()
        )
    }

    /// The patch's type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        // Notes are added by operations (RFC 6902) and not by a merge, so that two people who write at once lose nothing.
        if matches!(self, Self::Note { .. }) { "application/json-patch+json" } else { "application/merge-patch+json" }
    }

    /// The call, exactly: request line, type and body.
    #[must_use]
    pub fn call(&self) -> [String; 3] {
        [format!("PATCH {}", self.path()), format!("Content-Type: {}", self.content_type()), self.patch().to_string()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_is_the_one_that_is_made() {
        let cancel = Act::Cancel { namespace: "shop".to_owned(), name: "inc-1".to_owned(), attempt: 2 };
        assert_eq!(
            cancel.call(),
            [
                "PATCH /apis/operator.dev/v1alpha1/namespaces/shop/incidents/inc-1?fieldManager=operator-tui",
                "Content-Type: application/merge-patch+json",
                r#"{"spec":{"cancel":2}}"#,
            ]
        );
    }

    #[test]
    fn notes_are_added_behind_the_others() {
        let note = |first| Act::Note {
            namespace: "shop".to_owned(),
            name: "inc-1".to_owned(),
            text: "look at the disk".to_owned(),
            author: Some("jane".to_owned()),
            at: "2026-01-28T12:00:00Z".parse().unwrap(),
            first,
        };
        let [_, kind, body] = note(true).call();
        assert_eq!(kind, "Content-Type: application/json-patch+json");
        assert_eq!(
            body,
            r#"[{"op":"add","path":"/spec/notes","value":[{"text":"look at the disk","at":"2026-01-28T12:00:00Z","author":"jane"}]}]"#
        );
        assert!(note(false).call()[2].contains(r#""path":"/spec/notes/-","value":{"text""#));
    }
}
