//! A whole session with everything in it that has to be shown well, hostile output included.

#![allow(clippy::unwrap_used)] // tests' code

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::json;

use crate::entry::{BegunVerification, EndedVerification, Finding, VerdictWord, VerificationEntry};
use crate::money::NanoDollars;
use crate::session::SessionId;
use crate::{
    Bytes, CallOutcome, ConclusionEntry, ControlEntry, ControlEvent, EntryBody, IncidentEntry, NewSession, Outcome,
    ReasoningEntry, SessionRecord, SessionState, StreamRecord, ToolCallEntry, ToolResultEntry, TurnEntry,
};

/// The session's row, ended.
///
/// # Panics
/// Never.
#[must_use]
pub fn record() -> SessionRecord {
    let started_at: Timestamp = "2026-01-28T20:54:48Z".parse().unwrap();
    SessionRecord {
        new: NewSession {
            id: SessionId::from("2026-01-28T20-54-48-3a029c12".to_owned()),
            incident_uid: "5d0c7f2e".into(),
            incident_namespace: "demo".into(),
            incident_name: "redis-readonly".into(),
            attempt: 1,
            subject: "ratelimiter".into(),
            model: "offline-ratelimiter".into(),
            title: "Every check fails with 500".into(),
            severity: "critical".into(),
            started_at,
        },
        state: SessionState {
            phase: "Concluded".into(),
            turns: 3,
            commands: 3,
            input_tokens: 18_234,
            output_tokens: 912,
            cost: NanoDollars::from_dollars(0.0684),
            last_seq: 0,
            root_cause: Some("Redis replicates from a host that does not exist, so it takes no writes.".into()),
            summary: Some("REPLICAOF NO ONE made it a primary again; checks answer 200.".into()),
            reason: Some("AgentConcluded".into()),
            ended_at: Some("2026-01-28T20:55:31.5Z".parse().unwrap()),
        },
        last_hash: None,
    }
}

/// Its entries in order, each with the milliseconds after the start.
#[must_use]
pub fn bodies() -> Vec<(i64, EntryBody)> {
    let long: String = (1..=40).fold(String::new(), |all, n| all + &format!("line {n}\n"));
    vec![
        (0, incident()),
        (10, control(ControlEvent::Started, "container operator-agent-3a029c12 of image operator-agent:dev")),
        (2100, turn(1)),
        (2100, reasoning("Every write fails, reads work.\nLet me ask Redis what it thinks it is.")),
        (2110, call("toolu_1", "redis-cli -h redis info replication", "see whether Redis is a primary")),
        (
            2150,
            result(
                5,
                "toolu_1",
                CallOutcome::Exited { code: 0 },
                38,
                text("role:slave\r\nmaster_host:10.255.255.1\r\n"),
                None,
            ),
        ),
        (4000, turn(2)),
        (4001, call("toolu_2", "seq -f 'line %g' 40\nprintf '\\033[2J'", "show much, and try something")),
        (4050, result(8, "toolu_2", CallOutcome::Exited { code: 3 }, 44, text(&long), Some(hostile()))),
        (4060, call("toolu_3", "sleep 300", "")),
        (34_060, result(10, "toolu_3", CallOutcome::TimedOut { limit_ms: 30_000 }, 30_004, cut(), None)),
        (34_100, control(ControlEvent::Error, "the model answered 529 (overloaded); asked again after 2s")),
        (40_000, turn(3)),
        (40_001, conclude()),
        (40_002, conclusion()),
        (43_500, control(ControlEvent::Sealed, "Concluded: the agent concluded, nothing can prove it")),
    ]
}

/// What the invariants can say, each once, hostile words included; in no order that a session would have.
#[must_use]
pub fn checks() -> Vec<(i64, EntryBody)> {
    let found = |invariant: &str, key: &str, message: &str| Finding {
        invariant: invariant.into(),
        key: key.into(),
        message: message.into(),
    };
    let ended = |verdict: VerdictWord, findings: Vec<Finding>| EndedVerification {
        attempt: 1,
        verdict,
        findings,
        more: 0,
        window_ms: 0,
        seen: 0,
        details: serde_json::Value::Null,
    };
    let violated = vec![
        found("node_down", "n2", "node n2 is \u{1b}[2Jgone\n#77 sealed Resolved"),
        found("over_limit", "", "**5** answers too many"),
    ];
    let tell = json!({"tell": "It is not gone."});
    let all = [
        VerificationEntry::Begun(BegunVerification { attempt: 1, attempts: 3, stabilization_ms: 15_000 }),
        VerificationEntry::Ended(EndedVerification {
            more: 7,
            details: tell.clone(),
            ..ended(VerdictWord::Violated, violated)
        }),
        VerificationEntry::Healed { details: tell },
        VerificationEntry::Ended(EndedVerification {
            window_ms: 15_200,
            seen: 14,
            ..ended(VerdictWord::Holds, Vec::new())
        }),
        VerificationEntry::Ended(ended(VerdictWord::Unknown, vec![found("", "", "no reading came for 75 s")])),
    ];
    (40_100..).step_by(1000).zip(all.map(EntryBody::Verification)).collect()
}

fn incident() -> EntryBody {
    EntryBody::Incident(IncidentEntry {
        incident: json!({"title": "Every check fails with 500", "description": "Since 20:50 POST /check answers 500.\nReads are fine."}),
        subject: json!({"name": "ratelimiter"}),
        model: "offline-ratelimiter".into(),
        system: "You are on call.".into(),
        user: "Something is wrong.".into(),
        tools: json!([]),
        prices: json!({}),
        budgets: json!({"turns": 30}),
        operator: "0.1.0".into(),
        settings: None,
    })
}

fn turn(turn: i64) -> EntryBody {
    EntryBody::Turn(TurnEntry {
        turn,
        message: json!({"role": "assistant", "content": []}),
        stop_reason: Some(if turn == 2 { "max_tokens" } else { "tool_use" }.into()),
        usage: json!({"input_tokens": 6000, "output_tokens": 300}),
        model: "offline-ratelimiter".into(),
        message_id: None,
        request_id: None,
        cost: NanoDollars::from_dollars(0.0228),
        duration_ms: 2087,
        max_tokens: None,
        stop_details: serde_json::Value::Null,
    })
}

fn reasoning(text: &str) -> EntryBody {
    EntryBody::Reasoning(ReasoningEntry { turn: 1, text: text.into(), thinking: false })
}

fn call(id: &str, command: &str, why: &str) -> EntryBody {
    EntryBody::ToolCall(ToolCallEntry {
        turn: 1,
        tool_use_id: id.into(),
        tool: "shell".into(),
        input: json!({"command": command, "reasoning": why}),
        command: Some(command.into()),
        reasoning: Some(why.into()),
        timeout_ms: Some(120_000),
    })
}

fn result(
    call: i64,
    id: &str,
    outcome: CallOutcome,
    duration_ms: i64,
    stdout: StreamRecord,
    stderr: Option<StreamRecord>,
) -> EntryBody {
    EntryBody::ToolResult(ToolResultEntry {
        turn: 1,
        call,
        tool_use_id: id.into(),
        outcome,
        duration_ms,
        stdout: Some(stdout),
        stderr,
        content: String::new(),
        is_error: false,
        redacted: 0,
    })
}

fn text(text: &str) -> StreamRecord {
    StreamRecord { bytes: text.len() as u64, head: Bytes::Text(text.into()), tail: None }
}

/// A clear screen, a title, C1, a bidi override, a fence, NUL, what is not UTF-8; and what has to stay.
fn hostile() -> StreamRecord {
    let mut raw = "\u{1b}[2J\u{1b}]0;pwned\u{7} \u{9b}31m \u{202e}evil\u{202c} over\rwrite \0 ````` 漢字 e\u{301} \u{1b}[31mred\u{1b}[0m ".as_bytes().to_vec();
    raw.extend([0xff, 0xfe]);
    let head = Bytes::Base64(base64::engine::general_purpose::STANDARD.encode(&raw));
    StreamRecord { bytes: raw.len() as u64, head, tail: None }
}

fn cut() -> StreamRecord {
    StreamRecord { bytes: 1 << 30, head: Bytes::Text("first\n".into()), tail: Some(Bytes::Text("last\n".into())) }
}

fn conclude() -> EntryBody {
    EntryBody::ToolCall(ToolCallEntry {
        turn: 3,
        tool_use_id: "toolu_4".into(),
        tool: "conclude".into(),
        input: json!({"outcome": "resolved"}),
        command: None,
        reasoning: None,
        timeout_ms: None,
    })
}

fn conclusion() -> EntryBody {
    EntryBody::Conclusion(ConclusionEntry {
        turn: 3,
        outcome: Outcome::Resolved,
        root_cause: "Redis replicates from a host that does not exist, so it takes no writes.".into(),
        summary: "REPLICAOF NO ONE made it a primary again; checks answer 200.".into(),
        evidence: vec![6, 9],
        follow_up: Some("Find out who issued REPLICAOF.".into()),
    })
}

fn control(event: ControlEvent, message: &str) -> EntryBody {
    EntryBody::Control(ControlEntry { event, message: message.into(), details: serde_json::Value::Null })
}
