//! Where the worst happens, and what it is.

use operator_tests::gate::postgres::{Call, Side};
use operator_tests::gate::scan::Direction;

/// A place on the way of a session.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// A call of the store is held.
    Store(Side, fn(&Call) -> bool),
    /// Something is held on the way to the engine, or back.
    Engine(Direction, &'static [&'static str]),
    /// Something is held on the way to the model, or back.
    Model(Direction, &'static [&'static str]),
    /// The command with this token has begun and waits.
    Working(&'static str),
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The controller is killed, and what it said last is lost; another one is started.
    Kill,
    /// The controller is killed, another one leads, and then what the first said last arrives.
    Late,
    /// The controller is stopped; another one leads; then it goes on, and what it said last arrives.
    Pause,
    /// The same, but it goes on only when the other one has written its first entries.
    PauseLonger,
    /// The controller is asked to end; another one is started.
    Terminate,
    /// Killed; while nobody is there the agent's container is removed; another one is started.
    KillAndRemove,
    /// Killed; the next one's clock is ten minutes ahead.
    KillAndClock,
    /// The database server is stopped as in a crash, and started again.
    DatabaseRestart,
    /// All connections to the database are cut, and for a while none is let in.
    DatabaseAway,
    /// The same for the engine.
    EngineAway,
    /// The engine itself is ended and started again, and with it every container ends; the subject is started again by
    /// whoever looks after it. Played alone.
    EngineRestart,
    /// The same for the API server, for half a minute.
    ClusterAway,
    /// The same for the model.
    ModelAway,
    /// The agent's container is removed.
    AgentRemoved,
    /// The gateway's container is removed.
    GatewayRemoved,
}

impl Fault {
    /// In the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL, restart",
            Self::Late => "SIGKILL, restart, its last words arrive late",
            Self::Pause => "SIGSTOP past the takeover, SIGCONT",
            Self::PauseLonger => "SIGSTOP until the next one works, SIGCONT",
            Self::Terminate => "SIGTERM, restart",
            Self::KillAndRemove => "SIGKILL, agent's container removed, restart",
            Self::KillAndClock => "SIGKILL, restart with the clock ten minutes ahead",
            Self::DatabaseRestart => "Postgres stopped and started",
            Self::DatabaseAway => "Postgres unreachable",
            Self::EngineAway => "Docker engine unreachable",
            Self::EngineRestart => "Docker engine stopped and started",
            Self::ClusterAway => "API server unreachable for 30 s",
            Self::ModelAway => "model's endpoint cut",
            Self::AgentRemoved => "agent's container removed",
            Self::GatewayRemoved => "gateway's container removed",
        }
    }
}

/// One row.
#[derive(Clone)]
pub(crate) struct Row {
    /// The place in words.
    pub(crate) place: &'static str,
    pub(crate) at: Place,
    pub(crate) fault: Fault,
    /// Commands that need not have run, and how else their results may say that they ended.
    pub(crate) may: Vec<(&'static str, &'static str)>,
}

impl Row {
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.place, self.fault.name())
    }

    /// Why it cannot be played on this machine.
    pub(crate) fn cannot(&self) -> Option<&'static str> {
        match self.fault {
            Fault::KillAndClock if faketime().is_none() => {
                Some("libfaketime, which moves the clock of one process, is not installed")
            }
            Fault::EngineRestart if !engine_is_ours() => {
                Some("the Docker engine was not started by scripts/docker-engine: it is not ours to restart")
            }
            _ => None,
        }
    }

    /// Whether it disturbs whoever else uses the engine.
    pub(crate) fn is_played_alone(&self) -> bool {
        self.fault == Fault::EngineRestart
    }
}

fn engine_is_ours() -> bool {
    let status =
        std::process::Command::new(operator_tests::root().join("scripts/docker-engine")).arg("status").output();
    status.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("started by these scripts"))
}

/// The library that moves a process's clock, where Debian has it.
pub(crate) fn faketime() -> Option<&'static str> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    ];
    places.into_iter().find(|path| std::path::Path::new(path).exists())
}

fn entry(call: &Call, holds: impl Fn(&str, &serde_json::Value) -> bool) -> bool {
    let writes = ["append_entry", "seal_session"].contains(&call.function.as_str());
    call.entry()
        .filter(|_| writes)
        .is_some_and(|entry| holds(entry["kind"].as_str().unwrap_or_default(), &entry["data"]))
}

fn ends(call: &Call) -> bool {
    call.function == "update_session" && call.text(1) != "Running"
}

type Kind = (&'static str, &'static str, fn(&Call) -> bool);

/// What is committed on the way, in order: the place before, the place after, which call it is.
const COMMITTED: [Kind; 14] = [
    ("session's row, before commit", "session's row, after commit", |call| call.function == "begin_session"),
    ("`incident`, before commit", "`incident`, after commit", |call| entry(call, |kind, _| kind == "incident")),
    ("`turn`, before commit", "`turn`, after commit", |call| entry(call, |kind, _| kind == "turn")),
    ("`reasoning`, before commit", "`reasoning`, after commit", |call| entry(call, |kind, _| kind == "reasoning")),
    ("`tool_call`, before commit", "`tool_call`, after commit", |call| entry(call, |kind, _| kind == "tool_call")),
    ("`control` started, before commit", "`control` started, after commit", |call| {
        entry(call, |kind, data| kind == "control" && data["event"] == "started")
    }),
    ("`tool_result`, before commit", "`tool_result`, after commit", |call| {
        entry(call, |kind, _| kind == "tool_result")
    }),
    ("`change` begun, before commit", "`change` begun, after commit", |call| {
        entry(call, |kind, data| kind == "change" && data["step"] == "begun")
    }),
    ("`change` completed, before commit", "`change` completed, after commit", |call| {
        entry(call, |kind, data| kind == "change" && data["step"] == "completed")
    }),
    ("`conclusion`, before commit", "`conclusion`, after commit", |call| entry(call, |kind, _| kind == "conclusion")),
    ("`verification` begun, before commit", "`verification` begun, after commit", |call| {
        entry(call, |kind, data| kind == "verification" && data["step"] == "begun")
    }),
    ("`verification` ended, before commit", "`verification` ended, after commit", |call| {
        entry(call, |kind, data| kind == "verification" && data["step"] == "ended")
    }),
    ("`control` sealed, before commit", "`control` sealed, after commit", |call| {
        entry(call, |kind, data| kind == "control" && data["event"] == "sealed")
    }),
    ("session's end in its row, before commit", "session's end in its row, after commit", ends),
];

/// Everything that is played.
pub(crate) fn all() -> Vec<Row> {
    use Direction::{Back, Out};
    use Place::{Engine, Model, Store, Working};
    let mut places = Vec::new();
    for (before, after, matches) in COMMITTED {
        places.push((before, Store(Side::Before, matches)));
        places.push((after, Store(Side::After, matches)));
    }
    places.extend([
        ("container asked for, not made", Engine(Out, &["/containers/create?name=operator-agent"])),
        ("container made, not started", Engine(Out, &["/containers/create?name=operator-agent", "/start HTTP/1.1"])),
        ("command sent, not there", Engine(Out, &[r#""type":"start""#])),
        ("command ended, its outcome on the way", Engine(Back, &[r#""type":"finished""#])),
        ("command has begun", Working("c2")),
        ("command in the middle of its output", Working("c3")),
        ("agent's container about to be paused", Engine(Out, &["/pause HTTP/1.1"])),
        ("model asked, question on the way", Model(Out, &["POST /v1/messages"])),
        ("model in the middle of its answer", Model(Back, &["x-offline-rule: second", "content_block_delta"])),
        ("containers about to be removed", Engine(Out, &["DELETE /"])),
    ]);
    let row = |place, at, fault| Row { place, at, fault, may: may(place, fault) };
    let mut rows = Vec::new();
    for (place, at) in places {
        rows.push(row(place, at, Fault::Kill));
        rows.push(row(place, at, Fault::Pause));
    }
    let called = COMMITTED[4].2;
    let begun = ("command has begun", Working("c2"));
    let output = ("command in the middle of its output", Working("c3"));
    let answer = ("model in the middle of its answer", Model(Back, &["x-offline-rule: second", "content_block_delta"]));
    rows.push(row("`tool_call`, before commit", Store(Side::Before, called), Fault::Late));
    rows.push(row("`turn`, before commit", Store(Side::Before, COMMITTED[2].2), Fault::Late));
    let sent = ("command sent, not there", Engine(Out, &[r#""type":"start""#]));
    for (place, at) in [
        sent,
        ("`tool_result`, before commit", Store(Side::Before, COMMITTED[6].2)),
        ("`change` begun, before commit", Store(Side::Before, COMMITTED[7].2)),
        ("`turn`, before commit", Store(Side::Before, COMMITTED[2].2)),
    ] {
        rows.push(row(place, at, Fault::PauseLonger));
    }
    for (place, at) in [begun, answer] {
        rows.push(row(place, at, Fault::Terminate));
    }
    for fault in [
        Fault::KillAndRemove,
        Fault::KillAndClock,
        Fault::DatabaseRestart,
        Fault::DatabaseAway,
        Fault::ClusterAway,
        Fault::AgentRemoved,
        Fault::GatewayRemoved,
    ] {
        rows.push(row(begun.0, begun.1, fault));
    }
    rows.push(row(output.0, output.1, Fault::EngineAway));
    rows.push(row(begun.0, begun.1, Fault::EngineAway));
    for (place, at) in [
        begun,
        ("`conclusion`, before commit", Store(Side::Before, COMMITTED[9].2)),
        ("`verification` ended, before commit", Store(Side::Before, COMMITTED[11].2)),
        ("containers about to be removed", Engine(Out, &["DELETE /"])),
    ] {
        rows.push(row(place, at, Fault::EngineRestart));
    }
    for fault in [Fault::DatabaseAway, Fault::EngineAway, Fault::ClusterAway, Fault::AgentRemoved] {
        rows.push(row("`verification` ended, before commit", Store(Side::Before, COMMITTED[11].2), fault));
    }
    rows.push(row(answer.0, answer.1, Fault::ModelAway));
    rows.push(row(answer.0, answer.1, Fault::DatabaseRestart));
    // The longest first: they do not come last in their lane.
    rows.sort_by_key(|row| row.fault != Fault::ClusterAway);
    rows
}

/// What a fault at a place may cost; nothing else may.
fn may(place: &str, fault: Fault) -> Vec<(&'static str, &'static str)> {
    match (place, fault) {
        // On record, and the supervisor never heard of it (or there was none yet): it is not run from a row.
        (
            "`tool_call`, after commit"
            | "command sent, not there"
            | "`control` started, before commit"
            | "`control` started, after commit"
            | "container asked for, not made"
            | "container made, not started",
            _,
        ) => vec![("c1", "not_started")],
        // Which container an engine that stops ends first is its own affair. If the subject's is, the command that waits
        // there ends, and the next one meets a container that is ending too: it is that one of which nothing is known.
        ("command has begun", Fault::EngineRestart) => vec![("c2", "unknown"), ("c3", "unknown")],
        // What ran in a container that is gone cannot be had.
        (_, Fault::AgentRemoved | Fault::KillAndRemove | Fault::EngineRestart) => vec![("c2", "unknown")],
        _ => Vec::new(),
    }
}
