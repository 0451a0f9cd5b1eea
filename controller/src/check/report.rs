//! What came of it.

use std::fmt::Write as _;

use crds::Subject;
use crds::invariant::InvariantState;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::manifest::UnknownField;
use crate::audit::render::numbers;
use crate::audit::render::style::Style;
use crate::columns::aligned;
use crate::invariant::{Judge, Mistake, Shown, View};
use crate::printable::short_line;

/// The most columns of a message in the table.
const LONG: usize = 100;

/// What came of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All invariants hold.
    Holds,
    /// At least one is violated, in its grace or beyond.
    Violated,
    /// The Subject has mistakes.
    Wrong,
    /// Nothing is violated, and of something nobody can say.
    Unknown,
}

impl Verdict {
    /// The program's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Violated => 1,
            Self::Wrong => 2,
            Self::Unknown => 3,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Violated => "violated",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    subject: String,
    project: String,
    at: Timestamp,
    rounds: usize,
    probes: Vec<(String, Vec<String>)>,
    views: Vec<View>,
    readings: Vec<(String, Vec<String>)>,
    mistakes: Vec<Mistake>,
    shown: Shown,
}

impl Report {
    /// Of a judge that has heard all that there is.
    #[must_use]
    pub fn new(
        subject: &Subject,
        judge: &Judge,
        mut mistakes: Vec<Mistake>,
        unknown: &[UnknownField],
        (rounds, at): (usize, Timestamp),
    ) -> Self {
        mistakes.extend(unknown.iter().map(|field| Mistake {
            path: field.path.clone(),
            message: format!("there is no such field; there are: {}", field.known.join(", ")),
        }));
        let views = judge.views();
        let project = subject.spec.r#where.docker.as_ref().map(|docker| docker.project.clone()).unwrap_or_default();
        let readings = views.iter().filter(|view| view.state != InvariantState::Ok).map(|view| {
            let worst = view.keys.iter().find(|key| key.state == view.state);
            let key = worst.map(|key| key.key.as_str()).unwrap_or_default();
            (named(&view.name, key), judge.readings_of(&view.name, key))
        });
        Self {
            subject: subject.metadata.name.clone().unwrap_or_default(),
            project,
            at,
            rounds,
            probes: subject.spec.probes.iter().map(|probe| (probe.name.clone(), judge.lines_of(&probe.name))).collect(),
            readings: readings.collect(),
            views,
            mistakes,
            shown: judge.shown(),
        }
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let any = |states: &[InvariantState]| self.views.iter().any(|view| states.contains(&view.state));
        if !self.mistakes.is_empty() {
            Verdict::Wrong
        } else if any(&[InvariantState::Violated, InvariantState::Pending]) {
            Verdict::Violated
        } else if any(&[InvariantState::Unknown]) {
            Verdict::Unknown
        } else {
            Verdict::Holds
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let mut text = String::new();
        let counted = |count: usize, what: &str| numbers::counted(i64::try_from(count).unwrap_or(i64::MAX), what);
        let _ = writeln!(
            text,
            "Subject {} (project {}): {} of {}, as of {} UTC\n",
            style.bold(&self.subject),
            self.project,
            counted(self.rounds, "round"),
            counted(self.probes.len(), "probe"),
            numbers::time_of_day(self.at)
        );
        for mistake in &self.mistakes {
            let _ = writeln!(text, "{} {mistake}", style.bad("wrong:"));
        }
        if !self.mistakes.is_empty() {
            text.push('\n');
        }
        let silent: Vec<_> =
            self.probes.iter().filter(|(_, lines)| lines.is_empty()).map(|(name, _)| name.as_str()).collect();
        if !silent.is_empty() {
            let _ = writeln!(text, "{} never read: {}\n", style.warn("probes:"), silent.join(", "));
        }
        let mut rows = vec![["INVARIANT", "KEY", "STATE", "SEVERITY", "FOR", "MESSAGE"].map(str::to_owned).to_vec()];
        for view in &self.views {
            rows.extend(self.rows(view));
        }
        text.push_str(&aligned(&rows, |row, column, cell| match (row, column) {
            (0, _) => style.bold(cell),
            (_, 2) => paint(style, cell),
            _ => cell.to_owned(),
        }));
        for (what, lines) in self.readings.iter().filter(|(_, lines)| !lines.is_empty()) {
            let _ = writeln!(text, "\n{}", style.bold(&format!("What was read for {what}")));
            for line in lines {
                let _ = writeln!(text, "  {}", short_line(line, 400));
            }
        }
        self.write_shown(&mut text, style);
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    fn rows(&self, view: &View) -> Vec<Vec<String>> {
        let severity = format!("{:?}", view.severity).to_lowercase();
        let row = |key: &str, state: InvariantState, since: Option<Timestamp>, message: &str| {
            let since = match state {
                InvariantState::Violated | InvariantState::Pending => {
                    since.map(|since| numbers::between(since, self.at)).unwrap_or_default()
                }
                InvariantState::Ok | InvariantState::Unknown => String::new(),
            };
            let cell = |text: String| if text.is_empty() { "-".to_owned() } else { text };
            vec![
                short_line(&view.name, 63),
                cell(short_line(key, 40)),
                word(state).to_owned(),
                severity.clone(),
                cell(since),
                cell(short_line(message, LONG)),
            ]
        };
        if view.keys.is_empty() || (view.keys.len() == 1 && view.keys[0].key.is_empty()) {
            return vec![row("", view.state, view.since, &view.message)];
        }
        view.keys.iter().map(|key| row(&key.key, key.state, key.since, &key.message)).collect()
    }

    fn write_shown(&self, text: &mut String, style: Style) {
        for group in &self.shown.groups {
            let _ = writeln!(text, "\n{}", style.bold(&short_line(&group.title, LONG)));
            let rows: Vec<Vec<String>> = group
                .rows
                .iter()
                .map(|row| vec![row.state.to_owned(), short_line(&row.label, 40), short_line(&row.text, LONG)])
                .collect();
            for line in
                aligned(&rows, |_, column, cell| if column == 0 { paint(style, cell) } else { cell.to_owned() }).lines()
            {
                let _ = writeln!(text, "  {line}");
            }
        }
        if let Some(workload) = &self.shown.workload {
            let value = workload
                .value
                .map_or_else(|| "nobody can say".to_owned(), |value| format!("{value:.1} {}", workload.unit));
            let _ = writeln!(text, "\n{}  {}", style.bold(&short_line(&workload.label, 40)), short_line(&value, 60));
        }
    }

    fn summary(&self) -> String {
        let count = |state: InvariantState| self.views.iter().filter(|view| view.state == state).count();
        let parts = [
            (self.mistakes.len(), "wrong"),
            (count(InvariantState::Violated), "violated"),
            (count(InvariantState::Pending), "violated, in their grace"),
            (count(InvariantState::Unknown), "unknown"),
            (count(InvariantState::Ok), "ok"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let parts = parts.collect::<Vec<_>>().join(", ");
        if parts.is_empty() { "There are no invariants.".into() } else { parts }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let key = |key: &crate::invariant::KeyView| json!({"key": key.key, "state": word(key.state), "since": key.since, "message": key.message});
        let invariant = |view: &View| {
            json!({
                "name": view.name, "severity": view.severity, "state": word(view.state), "since": view.since,
                "message": view.message, "keys": view.keys.iter().map(key).collect::<Vec<_>>(),
            })
        };
        let mistake = |mistake: &Mistake| json!({"path": mistake.path, "message": mistake.message});
        json!({
            "subject": self.subject,
            "project": self.project,
            "at": self.at,
            "verdict": self.verdict().word(),
            "rounds": self.rounds,
            "mistakes": self.mistakes.iter().map(mistake).collect::<Vec<_>>(),
            "invariants": self.views.iter().map(invariant).collect::<Vec<_>>(),
            "display": self.shown,
        })
    }
}

fn named(invariant: &str, key: &str) -> String {
    if key.is_empty() { invariant.to_owned() } else { format!("{invariant}[{}]", short_line(key, 60)) }
}

fn word(state: InvariantState) -> &'static str {
    match state {
        InvariantState::Ok => "ok",
        InvariantState::Pending => "pending",
        InvariantState::Violated => "violated",
        InvariantState::Unknown => "unknown",
    }
}

fn paint(style: Style, cell: &str) -> String {
    match cell {
        "ok" => style.good(cell),
        "violated" | "bad" => style.bad(cell),
        "pending" | "warn" | "unknown" => style.warn(cell),
        _ => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{judge, listen, manifest};

    const SUBJECT: &str = "\
apiVersion: operator.dev/v1alpha1
kind: Subject
metadata: {name: shop}
spec:
  where: {docker: {project: shop}}
  probes:
    - {name: web, targets: [a, b], tcp: {address: '{{target}}:80'}}
    - {name: db, http: {url: 'http://db/'}}
  invariants:
    - {name: down, forEach: probes.web, violated: '!item.ok', message: '{{key}} is down', severity: critical}
    - {name: slow, violated: probes.web.a.ms > 100, grace: 60s}
    - {name: full, violated: probes.db.value.free < 10}
  display:
    groups: [{title: Nodes, forEach: probes.web, state: 'item.ok ? \"ok\" : \"bad\"', text: '{{item.ms}} ms'}]
";

    fn report(subject: &str, rounds: &str) -> Report {
        let (subject, unknown) = manifest::read(subject, None).unwrap();
        let (mut judge, mistakes) = judge(&subject);
        let rounds = listen::recording(rounds).unwrap();
        for round in &rounds {
            judge.take(round);
        }
        let at = crate::check::last(&rounds).unwrap();
        judge.look(at);
        Report::new(&subject, &judge, mistakes, &unknown, (rounds.len(), at))
    }

    fn web(a: &str, b: &str) -> String {
        format!(r#"{{"probe":"web","at":"2026-01-28T20:54:48Z","readings":{{"a":{a},"b":{b}}}}}"#)
    }

    const OK: &str = r#"{"ok":true,"ms":3}"#;
    const DB: &str =
        r#"{"probe":"db","at":"2026-01-28T20:54:48Z","readings":{"":{"ok":true,"ms":3,"value":{"free":50}}}}"#;

    #[test]
    fn all_that_holds_ends_with_zero() {
        let report = report(SUBJECT, &format!("{}\n{DB}", web(OK, OK)));
        assert_eq!((report.verdict(), report.verdict().exit_code()), (Verdict::Holds, 0));
        let text = report.text(Style::default());
        assert!(text.starts_with("Subject shop (project shop): 2 rounds of 2 probes, as of 20:54:48 UTC\n"), "{text}");
        assert!(text.contains("down        a     ok      critical   -     -\n"), "{text}");
        assert!(text.contains("Nodes\n  ok   a   3 ms\n"), "{text}");
        assert!(text.ends_with("\n3 ok\n"), "{text}");
    }

    #[test]
    fn what_is_violated_pending_and_unknown_is_told_apart() {
        let failed = r#"{"ok":false,"error":"refused","ms":3}"#;
        let slow = r#"{"ok":true,"ms":300}"#;
        let report = report(SUBJECT, &web(slow, failed));
        assert_eq!(report.verdict().exit_code(), 1);
        let text = report.text(Style::default());
        assert!(text.contains("probes: never read: db\n"), "{text}");
        assert!(text.contains("down        b     violated   critical   0.00s   b is down\n"), "{text}");
        assert!(text.contains("slow        -     pending "), "{text}");
        assert!(text.contains("What was read for down[b]\n  web"), "{text}");
        assert!(text.ends_with("\n1 violated, 1 violated, in their grace, 1 unknown\n"), "{text}");
        let json = report.json();
        assert_eq!((&json["verdict"], &json["invariants"][2]["state"]), (&json!("violated"), &json!("unknown")));
    }

    #[test]
    fn nobody_can_say_is_not_well() {
        assert_eq!(report(SUBJECT, &web(OK, OK)).verdict().exit_code(), 3);
    }

    #[test]
    fn mistakes_come_first() {
        let wrong = SUBJECT.replace("!item.ok", "!item.ok)").replace("grace: 60s", "grase: 60s");
        let report = report(&wrong, &format!("{}\n{DB}", web(OK, OK)));
        assert_eq!(report.verdict().exit_code(), 2);
        let text = report.text(Style::default());
        assert!(text.contains("wrong: spec.invariants[0].violated (down): "), "{text}");
        assert!(
            text.contains("wrong: spec.invariants[1].grase: there is no such field; there are: description, "),
            "{text}"
        );
    }

    #[test]
    fn what_strangers_say_moves_no_cursor() {
        let evil = r#"{"ok":false,"error":"\u001b[2Jgone\nline","ms":3}"#;
        let subject = SUBJECT.replace("{{key}} is down", "{{item.error}}");
        let text = report(&subject, &format!("{}\n{DB}", web(evil, OK))).text(Style::default());
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
