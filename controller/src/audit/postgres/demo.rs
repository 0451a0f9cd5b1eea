//! What demos did. Not the trail: rows of their own, behind the same fence.

use std::collections::BTreeMap;

use async_trait::async_trait;
use crds::demo_chapter::ActionState;
use crds::fault::UndoWhen;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};
use tokio::time::timeout_at;

use super::PostgresStore;
use super::error::{Doing, time, without_nul};
use crate::audit::AuditError;
use crate::demo_chapter::record::{
    Act, ActId, DemoRef, How, NewAct, NewTurn, Record, Turn, TurnEnd, TurnKind, UndoTry,
};
use crate::demo_chapter::store::DemoStore;
use crate::fault::Key;

/// The turns of a demo since it was last brought back to its beginning, that included.
const TURNS: &str = "SELECT * FROM demo_turns WHERE namespace = $1 AND demo = $2 AND id >= coalesce(( \
        SELECT max(id) FROM demo_turns WHERE namespace = $1 AND demo = $2 AND kind <> 'enter' AND ended_at IS NOT NULL), 0) \
    ORDER BY id";

/// What was done in these, and what of earlier ones has no end or is not taken back.
const ACTS: &str = "SELECT a.* FROM demo_acts a JOIN demo_turns t ON t.id = a.turn_id \
    WHERE t.namespace = $1 AND t.demo = $2 AND (a.turn_id >= $3 OR a.ended_at IS NULL OR a.undo_ended_at IS NULL \
        OR a.undo_error IS NOT NULL) \
    ORDER BY a.turn_id, a.begun_at, a.index";

const NUMBERS: &str = "SELECT chapter_uid, kind, max(number) AS number FROM demo_turns \
    WHERE namespace = $1 AND demo = $2 GROUP BY chapter_uid, kind";

const LIVE: &str = "SELECT namespace, demo FROM (SELECT DISTINCT ON (namespace, demo) namespace, demo, kind, ended_at \
        FROM demo_turns ORDER BY namespace, demo, id DESC) AS newest \
    WHERE kind = 'enter' OR ended_at IS NULL";

/// Of all demos of all namespaces: they may share a project.
const UNSETTLED: &str = "SELECT a.* FROM demo_acts a JOIN demo_turns t ON t.id = a.turn_id \
    WHERE t.project = $1 AND (a.ended_at IS NULL OR a.undo_ended_at IS NULL OR a.undo_error IS NOT NULL)";

type Asked<'q> = Query<'q, Postgres, PgArguments>;

impl PostgresStore {
    async fn demo_rows<T>(
        &self,
        query: Asked<'_>,
        read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let answer = timeout_at(until, query.fetch_all(&mut *connection)).await;
        let rows = connection.settle(answer, Doing::Asking)?;
        let read: Result<Vec<T>, sqlx::Error> = rows.iter().map(read).collect();
        read.map_err(|error| AuditError::Refused(format!("a row of a demo cannot be read: {error}")))
    }

    async fn demo_write(&self, query: Asked<'_>) -> Result<(), AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let answer = timeout_at(until, query.execute(&mut *connection)).await;
        connection.settle(answer, Doing::Asking).map(|_| ())
    }
}

/// A function of one row's act.
fn about<'q>(query: Asked<'q>, act: &ActId) -> Asked<'q> {
    query.bind(act.turn).bind(act.chapter.clone()).bind(phase(act)).bind(index(act))
}

fn phase(act: &ActId) -> &'static str {
    if act.restore { "restore" } else { "act" }
}

fn index(act: &ActId) -> i64 {
    i64::try_from(act.index).unwrap_or(i64::MAX)
}

fn undo_when(when: UndoWhen) -> &'static str {
    match when {
        UndoWhen::Back => "Back",
        UndoWhen::Leave => "Leave",
        UndoWhen::Reset => "Reset",
    }
}

fn wrong(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} is none that this version knows").into())
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn at(row: &PgRow, name: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get::<jiff_sqlx::Timestamp, _>(name).map(jiff_sqlx::Timestamp::to_jiff)
}

fn turn(row: &PgRow) -> Result<Turn, sqlx::Error> {
    let ended_at: Option<jiff_sqlx::Timestamp> = row.try_get("ended_at")?;
    let how: Option<String> = row.try_get("how")?;
    let end = match (ended_at, how) {
        (Some(at), Some(how)) => Some(TurnEnd {
            how: How::parse(&how).ok_or_else(|| wrong("how"))?,
            at: at.to_jiff(),
            message: row.try_get("message")?,
        }),
        _ => None,
    };
    let kind: String = row.try_get("kind")?;
    Ok(Turn {
        id: row.try_get("id")?,
        new: NewTurn {
            demo: DemoRef { namespace: row.try_get("namespace")?, demo: row.try_get("demo")? },
            kind: TurnKind::parse(&kind).ok_or_else(|| wrong("kind"))?,
            chapter: row.try_get("chapter")?,
            chapter_uid: row.try_get("chapter_uid")?,
            number: row.try_get("number")?,
            place: row.try_get("place")?,
            subject: row.try_get("subject")?,
            project: row.try_get("project")?,
            raised_at: at(row, "raised_at")?,
            at: at(row, "at")?,
            acts_at: at(row, "acts_at")?,
            superseded: end.as_ref().is_some_and(|end| end.how == How::Superseded),
        },
        end,
    })
}

fn act(row: &PgRow) -> Result<Act, sqlx::Error> {
    let phase: String = row.try_get("phase")?;
    let index: i64 = row.try_get("index")?;
    let when: String = row.try_get("undo_when")?;
    let state: String = row.try_get("state")?;
    let state = match state.as_str() {
        "Begun" => ActionState::Begun,
        "Done" => ActionState::Done,
        "Failed" => ActionState::Failed,
        "Unknown" => ActionState::Unknown,
        _ => return Err(wrong("state")),
    };
    let key: String = row.try_get("key")?;
    let plan: Option<String> = row.try_get("plan")?;
    let message: Option<String> = row.try_get("message")?;
    let undo_turn: Option<i64> = row.try_get("undo_turn")?;
    let undo_ended: Option<jiff_sqlx::Timestamp> = row.try_get("undo_ended_at")?;
    let undo_error: Option<String> = row.try_get("undo_error")?;
    Ok(Act {
        new: NewAct {
            id: ActId {
                turn: row.try_get("turn_id")?,
                chapter: row.try_get("chapter")?,
                restore: phase == "restore",
                index: usize::try_from(index).map_err(|_| wrong("index"))?,
            },
            says: row.try_get("says")?,
            undo_when: match when.as_str() {
                "Leave" => UndoWhen::Leave,
                "Reset" => UndoWhen::Reset,
                _ => UndoWhen::Back,
            },
            key: json(&key)?,
            failed: message.clone().filter(|_| plan.is_none()),
            plan: plan.as_deref().map(json).transpose()?,
            at: at(row, "begun_at")?,
        },
        state,
        message,
        undo: undo_turn.map(|turn| UndoTry { turn, over: undo_ended.is_some(), error: undo_error }),
    })
}

#[async_trait]
impl DemoStore for PostgresStore {
    async fn record(&self, demo: &DemoRef) -> Result<Record, AuditError> {
        let named = |sql: &'static str| sqlx::query(sql).bind(demo.namespace.clone()).bind(demo.demo.clone());
        let turns = self.demo_rows(named(TURNS), turn).await?;
        let first = turns.first().map_or(i64::MAX, |turn| turn.id);
        let acts = self.demo_rows(named(ACTS).bind(first), act).await?;
        let number = |row: &PgRow| {
            let kind: String = row.try_get("kind")?;
            let kind = TurnKind::parse(&kind).ok_or_else(|| wrong("kind"))?;
            Ok(((row.try_get("chapter_uid")?, kind), row.try_get("number")?))
        };
        let numbers: BTreeMap<_, i64> = self.demo_rows(named(NUMBERS), number).await?.into_iter().collect();
        Ok(Record { turns, acts, numbers })
    }

    async fn live(&self) -> Result<Vec<DemoRef>, AuditError> {
        let demo = |row: &PgRow| Ok(DemoRef { namespace: row.try_get("namespace")?, demo: row.try_get("demo")? });
        self.demo_rows(sqlx::query(LIVE), demo).await
    }

    async fn kept(&self, project: &str) -> Result<Vec<Key>, AuditError> {
        let acts = self.demo_rows(sqlx::query(UNSETTLED).bind(project.to_owned()), act).await?;
        Ok(acts.into_iter().filter(Act::is_live).map(|act| act.new.key).collect())
    }

    async fn begin_turn(&self, new: &NewTurn) -> Result<i64, AuditError> {
        let epoch = self.epoch()?;
        let query =
            sqlx::query("SELECT begin_demo_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS id")
                .bind(new.demo.namespace.clone())
                .bind(new.demo.demo.clone())
                .bind(new.kind.as_str())
                .bind(new.chapter.clone())
                .bind(new.chapter_uid.clone())
                .bind(new.number)
                .bind(new.place)
                .bind(new.subject.clone())
                .bind(new.project.clone())
                .bind(time(new.raised_at))
                .bind(time(new.at))
                .bind(time(new.acts_at))
                .bind(new.superseded)
                .bind(epoch);
        let ids = self.demo_rows(query, |row| row.try_get::<i64, _>("id")).await?;
        ids.first().copied().ok_or_else(|| AuditError::Refused("a turn was given no number".into()))
    }

    async fn end_turn(&self, turn: i64, how: How, message: Option<&str>, at: Timestamp) -> Result<(), AuditError> {
        let query = sqlx::query("SELECT end_demo_turn($1, $2, $3, $4, $5)")
            .bind(turn)
            .bind(how.as_str())
            .bind(message.map(without_nul))
            .bind(time(at))
            .bind(self.epoch()?);
        self.demo_write(query).await
    }

    async fn begin_act(&self, new: &NewAct) -> Result<bool, AuditError> {
        let text = |value: Result<String, serde_json::Error>| {
            value.map_err(|error| AuditError::Refused(format!("a plan cannot be written down: {error}")))
        };
        let key = text(serde_json::to_string(&new.key))?;
        let plan = new.plan.as_ref().map(|plan| text(serde_json::to_string(plan))).transpose()?;
        let query = sqlx::query("SELECT begin_demo_act($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS begun");
        let query = about(query, &new.id)
            .bind(without_nul(&new.says))
            .bind(undo_when(new.undo_when))
            .bind(key)
            .bind(plan)
            .bind(new.failed.as_deref().map(without_nul))
            .bind(time(new.at))
            .bind(self.epoch()?);
        let begun = self.demo_rows(query, |row| row.try_get::<bool, _>("begun")).await?;
        Ok(begun.first().copied().unwrap_or(false))
    }

    async fn end_act(
        &self,
        act: &ActId,
        state: ActionState,
        message: Option<&str>,
        at: Timestamp,
    ) -> Result<(), AuditError> {
        let state = match state {
            ActionState::Done => "Done",
            ActionState::Unknown => "Unknown",
            _ => "Failed",
        };
        let query = about(sqlx::query("SELECT end_demo_act($1, $2, $3, $4, $5, $6, $7, $8)"), act)
            .bind(state)
            .bind(message.map(without_nul))
            .bind(time(at))
            .bind(self.epoch()?);
        self.demo_write(query).await
    }

    async fn begin_undo(&self, act: &ActId, turn: i64, at: Timestamp) -> Result<(), AuditError> {
        let query = about(sqlx::query("SELECT begin_demo_undo($1, $2, $3, $4, $5, $6, $7)"), act)
            .bind(turn)
            .bind(time(at))
            .bind(self.epoch()?);
        self.demo_write(query).await
    }

    async fn end_undo(&self, act: &ActId, error: Option<&str>, at: Timestamp) -> Result<(), AuditError> {
        let query = about(sqlx::query("SELECT end_demo_undo($1, $2, $3, $4, $5, $6, $7)"), act)
            .bind(error.map(without_nul))
            .bind(time(at))
            .bind(self.epoch()?);
        self.demo_write(query).await
    }
}
