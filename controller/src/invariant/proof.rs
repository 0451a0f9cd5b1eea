//! Whether everything holds since a moment.

use crds::incident::Violated;
use crds::invariant::InvariantState;
use jiff::{SignedDuration, Timestamp};

use super::compiled::Rule;
use super::judge::Judge;
use super::views::{KeyView, Proof};

impl Judge {
    /// Whether all holds, judged on readings that began at `since` or later; each of `keys` has to be there.
    ///
    /// What is in its grace, and what is still violated only by samples from before (a series goes on until its window is
    /// over), is not refuted, and does not hold either.
    #[must_use]
    pub fn all_hold(&self, since: Timestamp, keys: &[Violated]) -> Proof {
        let (mut violated, mut unknown) = (Vec::new(), Vec::new());
        for (rule, standing) in self.compiled.rules.iter().zip(&self.standings) {
            let named = |view: KeyView| (rule.name.clone(), view);
            let fresh = self.readings.not_since(&self.compiled.probes, &rule.reads, since);
            if let Some(why) = rule.body.as_ref().err().or(standing.unknown.as_ref()).or(fresh.as_ref()) {
                unknown.push(named(KeyView { message: why.clone(), ..KeyView::default() }));
                // What is gone is so whatever is read.
                violated
                    .extend(standing.keys.iter().filter(|(_, one)| one.gone).map(|(key, one)| named(one.view(key))));
                continue;
            }
            for (key, one) in &standing.keys {
                match one.state {
                    InvariantState::Ok => {}
                    InvariantState::Violated if one.gone || !self.is_old(rule, since) => {
                        violated.push(named(one.view(key)));
                    }
                    InvariantState::Violated | InvariantState::Pending | InvariantState::Unknown => {
                        unknown.push(named(one.view(key)));
                    }
                }
            }
            let missing =
                keys.iter().filter(|must| must.invariant == rule.name && !standing.keys.contains_key(&must.key));
            violated.extend(missing.map(|must| {
                named(KeyView {
                    key: must.key.clone(),
                    state: InvariantState::Violated,
                    message: "it is not there any more".into(),
                    gone: true,
                    ..KeyView::default()
                })
            }));
        }
        let nobody = keys.iter().filter(|must| self.compiled.rules.iter().all(|rule| rule.name != must.invariant));
        unknown.extend(nobody.map(|must| {
            let message = "the Subject does not have this invariant any more".into();
            (must.invariant.clone(), KeyView { key: must.key.clone(), message, ..KeyView::default() })
        }));
        if !violated.is_empty() {
            Proof::Violated(violated)
        } else if !unknown.is_empty() {
            Proof::Unknown(unknown)
        } else {
            Proof::Holds
        }
    }

    /// Whether what an invariant watches over time may still be of before.
    fn is_old(&self, rule: &Rule, since: Timestamp) -> bool {
        let window = rule.body.iter().flat_map(|body| &body.over).map(|watch| watch.window).max();
        window.is_some_and(|window: SignedDuration| self.now.duration_since(since) < window)
    }
}
