//! What is counted, for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// A label for a kind of thing that failed or ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Category {
    /// Which.
    pub category: String,
}

/// The name of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Installation {
    /// As the label on the engine has it.
    pub name: String,
}

/// A Subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfSubject {
    /// `namespace/name`.
    pub subject: String,
}

/// What is counted.
pub struct Metrics {
    registry: Registry,
    /// 1 for this installation's name on the engine, once it is known.
    pub installation: Family<Installation, Gauge>,
    /// 1 in the process that leads, 0 in one that stands by.
    pub leader: Gauge,
    /// The epoch in which this process leads; 0 while it stands by.
    pub lease_epoch: Gauge,
    /// Calls for the lease that the database did not answer.
    pub lease_errors: Counter,
    /// Reconciles, by the resource's kind.
    pub reconciles: Family<Category, Counter>,
    /// Reconciles that failed, by the error's category.
    pub errors: Family<Category, Counter>,
    /// Sessions that run.
    pub sessions: Gauge,
    /// Incidents that wait for a session.
    pub waiting: Gauge,
    /// 1 while the installation is halted.
    pub halted: Gauge,
    /// Finished Incidents that were deleted, by the rule.
    pub retired: Family<Category, Counter>,
    /// Sessions that ended, by phase.
    pub ended: Family<Category, Counter>,
    /// Model turns of ended sessions.
    pub turns: Counter,
    /// Commands of ended sessions.
    pub commands: Counter,
    /// Cost of ended sessions, in nano-dollars.
    pub cost: Counter,
    /// What today's calls of models cost, by the last look, in nano-dollars.
    pub spend_day: Gauge,
    /// Secrets that were masked in ended sessions.
    pub redacted: Counter,
    /// Subjects that are watched.
    pub watched: Gauge,
    /// Invariants of each that are violated.
    pub violated: Family<OfSubject, Gauge>,
    /// Invariants of each of which nobody can say.
    pub unknown: Family<OfSubject, Gauge>,
    /// Rounds of probes that were taken in.
    pub rounds: Counter,
    /// Lines of observers that were no rounds of their Subject's probes.
    pub observer_bad_lines: Counter,
    /// Observers that died and were started again.
    pub observer_restarts: Counter,
    /// How long judging took, each time.
    pub judged: Histogram,
    /// Incidents that the monitor opened, violations that joined one, and how often it could not.
    pub opened: Family<Category, Counter>,
    /// Requests of webhooks, by what was answered.
    pub webhooks: Family<Category, Counter>,
    /// Alerts that came, by what became of them.
    pub alerts: Family<Category, Counter>,
    /// What receivers of notices were told, or could not be.
    pub notices: Family<Category, Counter>,
    /// Notices that wait to arrive.
    pub notices_waiting: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("operator"),
            installation: Family::default(),
            leader: Gauge::default(),
            lease_epoch: Gauge::default(),
            lease_errors: Counter::default(),
            reconciles: Family::default(),
            errors: Family::default(),
            sessions: Gauge::default(),
            waiting: Gauge::default(),
            halted: Gauge::default(),
            retired: Family::default(),
            ended: Family::default(),
            turns: Counter::default(),
            commands: Counter::default(),
            cost: Counter::default(),
            spend_day: Gauge::default(),
            redacted: Counter::default(),
            watched: Gauge::default(),
            violated: Family::default(),
            unknown: Family::default(),
            rounds: Counter::default(),
            observer_bad_lines: Counter::default(),
            observer_restarts: Counter::default(),
            judged: Histogram::new(exponential_buckets(0.0001, 4.0, 10)),
            opened: Family::default(),
            webhooks: Family::default(),
            alerts: Family::default(),
            notices: Family::default(),
            notices_waiting: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "installation",
            "The name of this installation on the engine, always 1",
            metrics.installation.clone(),
        );
        registry.register("leader", "1 if this process leads, 0 if it stands by", metrics.leader.clone());
        registry.register(
            "lease_epoch",
            "The epoch in which this process leads; 0 while it stands by",
            metrics.lease_epoch.clone(),
        );
        registry.register(
            "lease_errors",
            "Calls for the lease that the database did not answer",
            metrics.lease_errors.clone(),
        );
        registry.register("reconciles", "Reconciles, by the resource's kind", metrics.reconciles.clone());
        registry.register(
            "reconcile_errors",
            "Reconciles that failed, by the error's category",
            metrics.errors.clone(),
        );
        registry.register("sessions_running", "Sessions that run", metrics.sessions.clone());
        registry.register("incidents_waiting", "Incidents that wait for a session", metrics.waiting.clone());
        registry.register("halted", "1 while the installation is halted", metrics.halted.clone());
        registry.register(
            "incidents_retired",
            "Finished Incidents that were deleted, by the rule",
            metrics.retired.clone(),
        );
        registry.register("sessions_ended", "Sessions that ended, by phase", metrics.ended.clone());
        registry.register("model_turns", "Model turns of sessions that ended", metrics.turns.clone());
        registry.register("commands", "Commands of sessions that ended", metrics.commands.clone());
        registry.register_with_unit(
            "cost",
            "What the model cost in sessions that ended",
            Unit::Other("nanodollars".into()),
            metrics.cost.clone(),
        );
        registry.register_with_unit(
            "spend_day",
            "What the calls of models cost today (UTC), those under way at their worst case",
            Unit::Other("nanodollars".into()),
            metrics.spend_day.clone(),
        );
        registry.register("redacted", "Secrets that were masked in sessions that ended", metrics.redacted.clone());
        metrics.register_watching();
        metrics.register_alerts();
        metrics
    }
}

impl Metrics {
    /// Of what the monitor sees and does.
    fn register_watching(&mut self) {
        let registry = &mut self.registry;
        registry.register("subjects_watched", "Subjects that are watched", self.watched.clone());
        registry.register("invariants_violated", "Invariants of a Subject that are violated", self.violated.clone());
        registry.register(
            "invariants_unknown",
            "Invariants of a Subject of which nobody can say",
            self.unknown.clone(),
        );
        registry.register("probe_rounds", "Rounds of probes that were taken in", self.rounds.clone());
        registry.register(
            "observer_bad_lines",
            "Lines of observers that were no rounds of their Subject's probes",
            self.observer_bad_lines.clone(),
        );
        registry.register(
            "observer_restarts",
            "Observers that died and were started again",
            self.observer_restarts.clone(),
        );
        registry.register_with_unit(
            "judge",
            "How long judging the invariants of a Subject took",
            Unit::Seconds,
            self.judged.clone(),
        );
        registry.register(
            "incidents_opened",
            "Incidents that the monitor opened, violations that joined one, and how often it could not",
            self.opened.clone(),
        );
    }

    /// Of alerts.
    fn register_alerts(&mut self) {
        let registry = &mut self.registry;
        registry.register("webhook_requests", "Requests of webhooks, by what was answered", self.webhooks.clone());
        registry.register("alerts", "Alerts that came, by what became of them", self.alerts.clone());
        registry.register("notices", "What receivers of notices were told, or could not be", self.notices.clone());
        registry.register("notices_waiting", "Notices that wait to arrive", self.notices_waiting.clone());
    }

    /// How a Subject stands.
    pub fn set_subject(&self, subject: &str, violated: i64, unknown: i64) {
        let subject = OfSubject { subject: subject.to_owned() };
        self.violated.get_or_create(&subject).set(violated);
        self.unknown.get_or_create(&subject).set(unknown);
    }

    /// A Subject is not watched any more.
    pub fn forget_subject(&self, subject: &str) {
        let subject = OfSubject { subject: subject.to_owned() };
        self.violated.remove(&subject);
        self.unknown.remove(&subject);
    }

    /// One more of a category.
    pub fn count(family: &Family<Category, Counter>, category: &str) {
        family.get_or_create(&Category { category: category.to_owned() }).inc();
    }

    /// All of it in the text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installations_name_stands_where_scripts_look_for_it() {
        let metrics = Metrics::default();
        metrics.installation.get_or_create(&Installation { name: "operator-0a1b2c3d".into() }).set(1);
        let text = metrics.text();
        assert!(text.contains("\noperator_installation{name=\"operator-0a1b2c3d\"} 1\n"), "{text}");
    }
}
