//! Which Incidents are shown: `tikv`, `!tikv`, `-l team=store`, `sev<=warning`, `phase=running`. All terms have to fit.

use crds::{Incident, IncidentPhase, Severity};
use regex::{Regex, RegexBuilder};

use crate::world::Named as _;

/// A filter. The empty one lets everything through.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    Fits(Regex),
    FitsNot(Regex),
    Severity(Comparison, Severity),
    Phase(bool, IncidentPhase),
    Is(Field, String),
    Labels(Vec<Label>),
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Subject,
    Namespace,
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Below,
    AtMost,
    Is,
    IsNot,
    AtLeast,
    Above,
}

#[derive(Clone, Debug)]
enum Label {
    Is(String, String),
    IsNot(String, String),
    There(String),
    NotThere(String),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            if let Some(rest) = word.strip_prefix("-l") {
                let selector = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
                terms.push(Term::Labels(labels(selector)?));
            } else if let Some(term) = comparison(word)? {
                terms.push(term);
            } else if let Some(rest) = word.strip_prefix('!') {
                // While it is typed, the sign stands alone for a moment.
                if !rest.is_empty() {
                    terms.push(Term::FitsNot(regex(rest)?));
                }
            } else {
                terms.push(Term::Fits(regex(word)?));
            }
        }
        Ok(Self { text: text.trim().to_owned(), terms })
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether an Incident is to be shown.
    #[must_use]
    pub fn fits(&self, incident: &Incident) -> bool {
        let mut text = None;
        self.terms.iter().all(|term| {
            let mut fits = |regex: &Regex| regex.is_match(text.get_or_insert_with(|| haystack(incident)));
            match term {
                Term::Fits(regex) => fits(regex),
                Term::FitsNot(regex) => !fits(regex),
                Term::Severity(comparison, severity) => comparison.holds(incident.spec.severity, *severity),
                Term::Phase(is, phase) => {
                    (incident.status.as_ref().map(|s| s.phase).unwrap_or_default() == *phase) == *is
                }
                Term::Is(Field::Subject, name) => incident.spec.subject_ref.name == *name,
                Term::Is(Field::Namespace, name) => incident.space() == name,
                Term::Labels(labels) => labels.iter().all(|label| label.fits(incident)),
            }
        })
    }
}

fn haystack(incident: &Incident) -> String {
    let (spec, none) = (&incident.spec, String::new());
    let status = incident.status.as_ref();
    let or = |text: Option<&String>| text.unwrap_or(&none).clone();
    [
        format!("{}/{}", incident.space(), incident.named()),
        spec.subject_ref.name.clone(),
        spec.severity.as_str().to_owned(),
        status.map(|status| status.phase).unwrap_or_default().as_str().to_owned(),
        spec.title.clone(),
        or(status.and_then(|status| status.message.as_ref())),
        or(status.and_then(|status| status.root_cause.as_ref())),
        or(status.and_then(|status| status.session_id.as_ref())),
    ]
    .join("\n")
}

fn regex(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).case_insensitive(true).size_limit(1 << 20).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("{text:?} is too large a regular expression"),
        _ => format!("{text:?} is not a regular expression"),
    })
}

fn comparison(word: &str) -> Result<Option<Term>, String> {
    let Some(start) = word.find(['<', '>', '=', '!']).filter(|start| *start > 0) else { return Ok(None) };
    let (field, rest) = word.split_at(start);
    let signs = ["<=", ">=", "!=", "==", "<", ">", "="];
    let Some(sign) = signs.into_iter().find(|sign| rest.starts_with(sign)) else { return Ok(None) };
    let value = &rest[sign.len()..];
    let equal = matches!(sign, "=" | "==");
    let only = || format!("{field} can be compared by = alone");
    let term = match field.to_ascii_lowercase().as_str() {
        "sev" | "severity" => Term::Severity(Comparison::parse(sign), severity(value)?),
        "phase" if equal || sign == "!=" => Term::Phase(equal, phase(value)?),
        "phase" => return Err("phase can be compared by = and != alone".to_owned()),
        "subject" if equal => Term::Is(Field::Subject, value.to_owned()),
        "ns" | "namespace" if equal => Term::Is(Field::Namespace, value.to_owned()),
        "subject" | "ns" | "namespace" => return Err(only()),
        // Not one of ours: a regular expression that happens to have such a sign.
        _ => return Ok(None),
    };
    Ok(Some(term))
}

fn severity(value: &str) -> Result<Severity, String> {
    let all = [Severity::Critical, Severity::Error, Severity::Warning, Severity::Info];
    let value = value.to_ascii_lowercase();
    let found = all.into_iter().find(|severity| !value.is_empty() && severity.as_str().starts_with(&value));
    found.ok_or_else(|| "sev is critical, error, warning or info".to_owned())
}

fn phase(value: &str) -> Result<IncidentPhase, String> {
    let mut name = value.to_ascii_lowercase();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    IncidentPhase::parse(&name).ok_or_else(|| {
        "phase is pending, running, verifying, resolved, concluded, escalated, failed or cancelled".to_owned()
    })
}

fn labels(selector: &str) -> Result<Vec<Label>, String> {
    let parts = selector.split(',').map(str::trim).filter(|part| !part.is_empty());
    let labels: Vec<Label> = parts
        .map(|part| {
            if let Some((key, value)) = part.split_once("!=") {
                Label::IsNot(key.to_owned(), value.to_owned())
            } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                Label::Is(key.to_owned(), value.to_owned())
            } else if let Some(key) = part.strip_prefix('!') {
                Label::NotThere(key.to_owned())
            } else {
                Label::There(part.to_owned())
            }
        })
        .collect();
    if labels.is_empty() {
        Err("-l needs labels, as kubectl has them: -l team=store,!old".to_owned())
    } else {
        Ok(labels)
    }
}

impl Label {
    fn fits(&self, incident: &Incident) -> bool {
        let value = |key: &String| incident.metadata.labels.as_ref().and_then(|labels| labels.get(key));
        match self {
            Self::Is(key, wanted) => value(key) == Some(wanted),
            Self::IsNot(key, unwanted) => value(key) != Some(unwanted),
            Self::There(key) => value(key).is_some(),
            Self::NotThere(key) => value(key).is_none(),
        }
    }
}

impl Comparison {
    fn parse(sign: &str) -> Self {
        match sign {
            "<" => Self::Below,
            "<=" => Self::AtMost,
            ">" => Self::Above,
            ">=" => Self::AtLeast,
            "!=" => Self::IsNot,
            _ => Self::Is,
        }
    }

    /// The worst is the first, so `sev<=warning` is warnings and all that is worse.
    fn holds(self, one: Severity, other: Severity) -> bool {
        match self {
            Self::Below => one < other,
            Self::AtMost => one <= other,
            Self::Is => one == other,
            Self::IsNot => one != other,
            Self::AtLeast => one >= other,
            Self::Above => one > other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::feed::Object;
    use crate::testing::incident;

    fn store() -> Arc<Incident> {
        let more = json!({
            "metadata": {"labels": {"team": "store", "old": ""}},
            "spec": {"severity": "error", "title": "Region 7 has no leader"},
            "status": {"phase": "Running", "message": "$ docker start tikv1"},
        });
        match incident("inc-7f3a", "tikv", &more) {
            Object::Incident(incident) => incident,
            _ => unreachable!(),
        }
    }

    #[test]
    fn all_terms_have_to_fit() {
        let incident = store();
        for (text, fits) in [
            ("", true),
            ("TIKV", true),
            ("^shop/inc-7", true),
            ("leader docker", true),
            ("leader etcd", false),
            ("!etcd", true),
            ("!", true),
            ("!tikv", false),
            ("sev<=warning", true),
            ("sev<error", false),
            ("sev>=err", true),
            ("severity=critical", false),
            ("sev!=critical", true),
            ("phase=running", true),
            ("phase!=Running", false),
            ("subject=tikv ns=shop", true),
            ("subject=tik", false),
            ("-l team=store", true),
            ("-lteam=store,!new", true),
            ("-l team!=store", false),
            ("-l old", true),
            ("-l !old", false),
            ("a=b", false),
        ] {
            assert_eq!(Filter::parse(text).unwrap().fits(&incident), fits, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (text, why) in [
            ("(", "regular expression"),
            ("sev<=bad", "critical, error"),
            ("phase=busy", "pending, running"),
            ("phase<running", "= and !="),
            ("-l", "labels"),
            ("ns<a", "= alone"),
        ] {
            let error = Filter::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
