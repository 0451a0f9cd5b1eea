//! Containers of subjects that were told to end, or ended, a moment ago.
//!
//! `docker compose down` removes a network some 20 ms after it removed the last container, and the engine takes longer
//! than that to take ours off it. So ours leave when the last of the project's containers is told to end, and not when it
//! has ended. A program may take the signal and go on: after a while it counts as running again.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::EventMessage;
use tokio::time::Instant;

use super::names;

/// Who still runs after this time goes on running, or is killed later, which is told anew.
const GRACE: Duration = Duration::from_secs(3);

/// The signals with which programs are asked to end, and that with which they are ended: SIGINT, SIGQUIT, SIGKILL, SIGTERM.
const SIGNALS: [&str; 4] = ["2", "3", "9", "15"];

/// Those containers, by id, with their project and until when they count as ending.
#[derive(Default)]
pub(super) struct Told(HashMap<String, (String, Instant)>);

impl Told {
    /// What the engine says.
    pub(super) fn hear(&mut self, event: &EventMessage, now: Instant) {
        let Some(actor) = &event.actor else { return };
        let Some(id) = &actor.id else { return };
        let attribute = |name: &str| actor.attributes.as_ref().and_then(|all| all.get(name));
        match event.action.as_deref() {
            Some("kill") if !attribute("signal").is_some_and(|signal| SIGNALS.contains(&signal.as_str())) => {}
            // For some milliseconds after it died the engine lists it as running.
            Some("kill" | "die") => {
                if let Some(project) = attribute(names::COMPOSE_PROJECT) {
                    self.0.insert(id.clone(), (project.clone(), now + GRACE));
                }
            }
            Some("start" | "destroy") => {
                self.0.remove(id);
            }
            _ => {}
        }
    }

    /// Whether that container is about to end or has ended, as far as anybody knows.
    pub(super) fn is_ending(&self, id: Option<&String>) -> bool {
        id.is_some_and(|id| self.0.contains_key(id))
    }

    /// When the next of them counts as running again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(_, until)| *until).min()
    }

    /// The projects of those that have gone on running.
    pub(super) fn went_on(&mut self, now: Instant) -> Vec<String> {
        let mut projects: Vec<_> =
            self.0.extract_if(|_, (_, until)| *until <= now).map(|(_, (project, _))| project).collect();
        projects.sort();
        projects.dedup();
        projects
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn event(action: &str, id: &str, signal: Option<&str>) -> EventMessage {
        let mut attributes = HashMap::from([(names::COMPOSE_PROJECT.to_owned(), "shop".to_owned())]);
        attributes.extend(signal.map(|signal| ("signal".to_owned(), signal.to_owned())));
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(EventActor { id: Some(id.to_owned()), attributes: Some(attributes) }),
            ..EventMessage::default()
        }
    }

    #[test]
    fn who_is_told_to_end_ends_or_goes_on() {
        let (mut told, now) = (Told::default(), Instant::now());
        let is = |told: &Told, id: &str| told.is_ending(Some(&id.to_owned()));
        // It reads its configuration anew.
        told.hear(&event("kill", "a", Some("1")), now);
        assert!(!is(&told, "a") && told.next().is_none());
        for id in ["a", "b"] {
            told.hear(&event("kill", id, Some("15")), now);
        }
        assert!(is(&told, "a") && is(&told, "b") && !told.is_ending(None));
        told.hear(&event("kill", "a", Some("1")), now);
        assert!(is(&told, "a"));
        told.hear(&event("destroy", "a", None), now);
        assert!(!is(&told, "a"));
        told.hear(&event("die", "b", None), now);
        assert!(is(&told, "b"), "the engine may still list it");
        assert_eq!(told.next(), Some(now + GRACE));
        assert_eq!(told.went_on(now), Vec::<String>::new());
        assert_eq!(told.went_on(now + GRACE), ["shop"]);
        assert!(!is(&told, "b") && told.next().is_none());
        told.hear(&event("kill", "b", Some("9")), now);
        told.hear(&event("start", "b", None), now);
        assert!(!is(&told, "b"));
    }
}
