//! Whether a demo's chapters can be played. Pure.

use std::sync::Arc;

use crds::fault::Action;
use crds::{DemoChapter, Subject};
use kube::ResourceExt;

use super::wait_for;
use crate::fault;
use crate::incident::validate::Rejected;
use crate::printable::short_line;
use crate::tenancy::Tenants;

/// Characters of a message.
const LONGEST: usize = 500;

/// A chapter that is not being deleted, and whether it can be played.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// It.
    pub object: Arc<DemoChapter>,
    /// Why it cannot.
    pub verdict: Result<(), Rejected>,
}

impl Chapter {
    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> String {
        self.object.uid().unwrap_or_default()
    }
}

/// Where a demo plays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// The Subject's name.
    pub subject: String,
    /// The compose project; empty if it is not known.
    pub project: String,
}

/// What is known of the Subject that a demo's chapters name.
#[derive(Clone, Debug)]
pub enum Found {
    /// It.
    Subject(Arc<Subject>),
    /// There is none of that name.
    Missing,
}

/// All chapters of a demo, in their order, and where it plays.
#[must_use]
pub fn validate(mut chapters: Vec<Arc<DemoChapter>>, found: &Found, tenants: &Tenants) -> (Vec<Chapter>, Scene) {
    chapters.sort_by_key(|chapter| (chapter.spec.order, chapter.name_any()));
    let subject = chapters.first().map(|chapter| chapter.spec.subject_ref.name.clone()).unwrap_or_default();
    let (project, of_subject) = match place(&subject, found, tenants) {
        Ok((project, verdict)) => (project, verdict),
        Err(rejected) => (String::new(), Err(rejected)),
    };
    let verdict = |chapter: &DemoChapter| {
        one_subject(&chapters)?;
        own_place(chapter, &chapters)?;
        expressions(chapter)?;
        of_subject.clone()
    };
    let judged = chapters.iter().map(|object| Chapter { verdict: verdict(object), object: object.clone() }).collect();
    (judged, Scene { subject, project })
}

/// The project, and whether something can be done to it just now.
fn place(name: &str, found: &Found, tenants: &Tenants) -> Result<(String, Result<(), Rejected>), Rejected> {
    let subject = match found {
        Found::Subject(subject) => subject,
        Found::Missing => {
            let message = format!("there is no Subject {name:?} in this namespace: apply it");
            return Err(Rejected { reason: "SubjectMissing", message });
        }
    };
    let project = crate::subject::project(subject, tenants).map_err(|why| Rejected {
        reason: "SubjectNotAccepted",
        message: format!("the Subject {name} is not accepted: {}", why.message),
    })?;
    let verdict = if subject.spec.suspend {
        let message = format!("the Subject {name} is suspended: nothing is done to it until spec.suspend is false");
        Err(Rejected { reason: "SubjectSuspended", message })
    } else {
        Ok(())
    };
    Ok((project.to_owned(), verdict))
}

fn one_subject(chapters: &[Arc<DemoChapter>]) -> Result<(), Rejected> {
    let mut names: Vec<&str> = chapters.iter().map(|chapter| chapter.spec.subject_ref.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        return Ok(());
    }
    let message =
        format!("the chapters of a demo have one Subject, and these have {}: {}", names.len(), names.join(", "));
    Err(Rejected { reason: "SeveralSubjects", message: short_line(&message, LONGEST) })
}

fn own_place(chapter: &DemoChapter, chapters: &[Arc<DemoChapter>]) -> Result<(), Rejected> {
    let same =
        |other: &&Arc<DemoChapter>| other.spec.order == chapter.spec.order && other.name_any() != chapter.name_any();
    match chapters.iter().find(same) {
        None => Ok(()),
        Some(other) => {
            let (order, other) = (chapter.spec.order, other.name_any());
            let message = format!("the chapter {other} of this demo has order {order}, too: give one of them another");
            Err(Rejected { reason: "SameOrder", message })
        }
    }
}

fn expressions(chapter: &DemoChapter) -> Result<(), Rejected> {
    if let Some(expression) = &chapter.spec.wait_for {
        wait_for::compile(expression).map_err(|why| Rejected {
            reason: "InvalidWaitFor",
            message: short_line(&format!("spec.waitFor: {why}"), LONGEST),
        })?;
    }
    let list = |name: &str, actions: &[Action]| {
        for (index, action) in actions.iter().enumerate() {
            fault::check(action).map_err(|why| Rejected {
                reason: "InvalidAction",
                message: short_line(&format!("spec.{name}[{index}]: {why}"), LONGEST),
            })?;
        }
        Ok(())
    };
    list("actions", &chapter.spec.actions)?;
    list("restore", &chapter.spec.restore)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chapter(name: &str, spec: &str) -> Arc<DemoChapter> {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: DemoChapter\nmetadata: {{name: {name}, namespace: ns, uid: {name}}}\n\
             spec: {{demo: d, title: t, {spec}}}"
        );
        Arc::new(serde_saphyr::from_str(&yaml).unwrap())
    }

    fn subject(spec: &str) -> Found {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {{name: s, namespace: ns}}\n\
             spec: {{where: {{docker: {{project: shop}}}}, {spec}}}"
        );
        Found::Subject(Arc::new(serde_saphyr::from_str(&yaml).unwrap()))
    }

    fn verdicts(chapters: &[(&str, &str)], found: &Found) -> Vec<String> {
        let chapters = chapters.iter().map(|(name, spec)| chapter(name, spec)).collect();
        let (judged, _) = validate(chapters, found, &Tenants::default());
        let said = |chapter: Chapter| match chapter.verdict {
            Ok(()) => format!("{} fine", chapter.object.name_any()),
            Err(why) => format!("{} {}: {}", chapter.object.name_any(), why.reason, why.message),
        };
        judged.into_iter().map(said).collect()
    }

    #[test]
    fn chapters_come_in_their_order_and_say_what_is_wrong() {
        let fine = subject("suspend: false");
        let two = [("b", "order: 2, subjectRef: {name: s}"), ("a", "order: 5, subjectRef: {name: s}")];
        assert_eq!(verdicts(&two, &fine), ["b fine", "a fine"]);
        assert!(verdicts(&two, &Found::Missing)[0].contains("SubjectMissing: there is no Subject \"s\""));
        assert!(verdicts(&two, &subject("suspend: true"))[1].contains("SubjectSuspended"));
        let same = [("b", "order: 2, subjectRef: {name: s}"), ("a", "order: 2, subjectRef: {name: s}")];
        assert!(verdicts(&same, &fine)[0].contains("a SameOrder: the chapter b of this demo has order 2"));
        let several = [("a", "order: 1, subjectRef: {name: s}"), ("b", "order: 2, subjectRef: {name: t}")];
        assert!(verdicts(&several, &fine)[1].contains("SeveralSubjects: "), "{:?}", verdicts(&several, &fine));
    }

    #[test]
    fn a_mistake_in_an_expression_is_said_with_its_column() {
        let fine = subject("suspend: false");
        let said =
            |spec: &str| verdicts(&[("a", &format!("order: 1, subjectRef: {{name: s}}, {spec}"))], &fine).remove(0);
        assert!(
            said("waitFor: 'incident ='").contains("InvalidWaitFor: spec.waitFor: 1:"),
            "{}",
            said("waitFor: 'incident ='")
        );
        assert!(said("waitFor: 'incidnt != null'").contains("there is no `incidnt` here"));
        assert!(said("actions: [{kill: {target: {cel: '1 +'}}}]").contains("InvalidAction: spec.actions[0]: "));
        assert_eq!(said("waitFor: 'incident != null'"), "a fine");
    }
}
