//! What must hold of a session, whatever happened to its controllers: read from the database, from what its commands
//! left in the subject, and from the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crds::Incident;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use crate::counter::{Counter, PRINTED};
use crate::process::binary;
use crate::stage::{LONG, Stage};
use crate::{containers_of, phase};

/// A session as the database has it.
#[derive(Debug)]
pub struct Trail {
    /// Its id.
    pub session: String,
    /// The phase in its row.
    pub phase: String,
    /// Whether its row says that it ended.
    pub ended: bool,
    /// Number, kind, data.
    pub entries: Vec<(i64, String, Value)>,
}

/// What became of a session's commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By the last part of their token (`c1`): how their results say that they ended.
    pub outcomes: BTreeMap<String, String>,
    /// How many entries there are.
    pub entries: usize,
    /// How many times a controller went on with it.
    pub resumed: usize,
}

impl Stage {
    /// A connection past the gate, as the database's owner.
    ///
    /// # Panics
    /// When the server is not there.
    pub async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.database.owner_url).await.expect("the stage's database")
    }

    /// The sessions of an Incident, in the order of their attempts.
    ///
    /// # Panics
    /// When the server is not there.
    pub async fn trails(&self, incident: &str) -> Vec<Trail> {
        let mut sql = self.sql().await;
        let rows: Vec<(String, String, bool)> = sqlx::query_as(
            "SELECT id, phase, ended_at IS NOT NULL FROM sessions WHERE incident_name = $1 ORDER BY attempt, started_at",
        )
        .bind(incident)
        .fetch_all(&mut sql)
        .await
        .expect("sessions");
        let mut trails = Vec::new();
        for (session, phase, ended) in rows {
            let entries = sqlx::query_as("SELECT seq, kind, data FROM entries WHERE session_id = $1 ORDER BY seq")
                .bind(&session)
                .fetch_all(&mut sql)
                .await
                .expect("entries");
            trails.push(Trail { session, phase, ended, entries });
        }
        trails
    }

    /// Judges an Incident that has ended, whose tokens begin with its name, on one subject.
    ///
    /// # Errors
    /// All that does not hold.
    ///
    /// # Panics
    /// When database or engine are not there.
    pub async fn judge(&self, incident: &Incident, counter: &Counter) -> Result<Tally, Vec<String>> {
        let name = incident.metadata.name.clone().unwrap_or_default();
        let trails = self.trails(&name).await;
        let [trail] = trails.as_slice() else {
            return Err(vec![format!("{} sessions instead of one", trails.len())]);
        };
        let mut wrong = trail.faults();
        let sealed = trail.entries.last().map(|(_, _, data)| data["details"]["phase"].clone()).unwrap_or_default();
        if sealed != phase(incident) || trail.phase != phase(incident) {
            wrong.push(format!("the Incident is {}, its row {}, its seal {sealed}", phase(incident), trail.phase));
        }
        if !trail.ended {
            wrong.push("its row does not say that it ended".into());
        }
        let tokens = counter.tokens().await;
        wrong.extend(trail.compare(&name, &tokens));
        let limit = Duration::from_secs(30);
        let begun = Instant::now();
        while !containers_of(&trail.session).is_empty() {
            if begun.elapsed() > limit {
                wrong.push(format!("on the engine stays {:?}", containers_of(&trail.session)));
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if wrong.is_empty() { Ok(trail.tally(&name)) } else { Err(wrong) }
    }

    /// The epoch of whoever leads.
    ///
    /// # Panics
    /// When the server is not there.
    pub async fn epoch(&self) -> i64 {
        sqlx::query_scalar("SELECT epoch FROM lease").fetch_one(&mut self.sql().await).await.expect("the lease")
    }

    /// Makes it as late as the end of the lease, so that a test need not wait for it. Whoever thinks that it
    /// leads knows nothing of that.
    ///
    /// # Panics
    /// When the server is not there.
    pub async fn let_lease_run_out(&self) {
        let late = sqlx::query("UPDATE lease SET expires_at = clock_timestamp()");
        late.execute(&mut self.sql().await).await.expect("the lease");
    }

    /// Waits until another one leads than in that epoch.
    ///
    /// # Errors
    /// When nobody does in time.
    pub async fn succeeded(&self, epoch: i64) -> Result<(), String> {
        let begun = Instant::now();
        while self.epoch().await <= epoch {
            if begun.elapsed() > LONG {
                return Err(format!("nobody took the lease over within {LONG:?}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the last entry of an Incident's session stands.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn sealed(&self, incident: &str) -> Result<(), String> {
        let begun = Instant::now();
        while !self.trails(incident).await.iter().any(Trail::is_sealed) {
            if begun.elapsed() > LONG {
                return Err(format!("the session is not sealed within {LONG:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What `operator audit verify` says of the whole database.
    ///
    /// # Errors
    /// Its complaint.
    ///
    /// # Panics
    /// When the binary is not there.
    pub async fn verify(&self) -> Result<String, String> {
        let mut command = tokio::process::Command::new(binary());
        command.args(["audit", "verify"]).env("DATABASE_URL", &self.database.url).kill_on_drop(true);
        let output = command.output().await.expect("target/debug/operator");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        if output.status.success() { Ok(text) } else { Err(text) }
    }
}

impl Trail {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (i64, &'a Value)> {
        self.entries.iter().filter(move |entry| entry.1 == kind).map(|(seq, _, data)| (*seq, data))
    }

    fn is_sealed(&self) -> bool {
        self.entries.last().is_some_and(|(_, _, data)| data["event"] == "sealed")
    }

    /// What is wrong with the rows by themselves.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (index, (seq, ..)) in self.entries.iter().enumerate() {
            if usize::try_from(*seq) != Ok(index + 1) {
                wrong.push(format!("entry {} has the number {seq}", index + 1));
            }
        }
        if self.entries.first().is_none_or(|(_, kind, _)| kind != "incident") || self.of("incident").count() != 1 {
            wrong.push("the first entry, and no other, is the Incident".into());
        }
        let seals: Vec<i64> =
            self.of("control").filter(|(_, data)| data["event"] == "sealed").map(|(seq, _)| seq).collect();
        let last = self.entries.last().map_or(0, |(seq, ..)| *seq);
        if seals != [last] {
            wrong.push(format!("sealed at {seals:?}, and the last entry is {last}"));
        }
        let turns: Vec<i64> = self.of("turn").filter_map(|(_, data)| data["turn"].as_i64()).collect();
        if !turns.iter().zip(1..).all(|(turn, wanted)| *turn == wanted) {
            wrong.push(format!("the turns are {turns:?}"));
        }
        wrong.extend(self.unpaired());
        wrong
    }

    /// Calls and changes whose begin or end is missing, or there twice.
    fn unpaired(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut called = BTreeMap::<String, usize>::new();
        for (seq, call) in self.of("tool_call") {
            *called.entry(call["toolUseId"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            let results: Vec<i64> =
                self.of("tool_result").filter(|(_, data)| data["call"] == seq).map(|(seq, _)| seq).collect();
            if results.len() != 1 || results[0] < seq {
                wrong.push(format!("the call {seq} has the results {results:?}"));
            }
        }
        wrong.extend(
            called.iter().filter(|(_, times)| **times > 1).map(|(id, times)| format!("{id} is called {times} times")),
        );
        let asked: BTreeSet<String> = self
            .of("turn")
            .flat_map(|(_, data)| data["message"]["content"].as_array().cloned().unwrap_or_default())
            .filter(|block| block["type"] == "tool_use")
            .map(|block| block["id"].as_str().unwrap_or_default().to_owned())
            .collect();
        if !asked.iter().eq(called.keys()) {
            wrong.push(format!("the model asked for {asked:?}, and called was {:?}", called.keys()));
        }
        let results = self.of("tool_result").count();
        if results != self.of("tool_call").count() {
            wrong.push(format!("{results} results for {} calls", self.of("tool_call").count()));
        }
        for (seq, _) in self.of("change").filter(|(_, data)| data["step"] == "begun") {
            let ends = self.ends(seq).count();
            if ends != 1 {
                wrong.push(format!("the change {seq} has {ends} ends"));
            }
        }
        wrong
    }

    fn ends(&self, begun: i64) -> impl Iterator<Item = &Value> {
        self.of("change")
            .filter(move |(_, data)| data["step"] == "completed" && data["change"] == begun)
            .map(|(_, data)| data)
    }

    /// The result of the command that leaves this token: how it ended, and what it printed.
    fn result(&self, token: &str) -> Option<(String, String)> {
        let is = |data: &Value| data["command"].as_str().is_some_and(|command| has(command, token));
        let (seq, _) = self.of("tool_call").find(|(_, data)| is(data))?;
        let (_, result) = self.of("tool_result").find(|(_, data)| data["call"] == seq)?;
        let stream = &result["stdout"];
        let text = |part: &str| stream[part]["text"].as_str().unwrap_or_default().to_owned();
        Some((result["outcome"]["type"].as_str().unwrap_or_default().to_owned(), text("head") + &text("tail")))
    }

    /// How often a command's token must, and may, be found in the subject.
    fn bounds(&self, token: &str) -> (usize, usize) {
        let Some((outcome, _)) = self.result(token) else { return (0, 0) };
        let (mut least, mut most) = match outcome.as_str() {
            "exited" => (1, 1),
            "not_started" => (0, 0),
            _ => (0, 1),
        };
        // What goes through the gateway happens as the ledger says.
        if token.ends_with("-c4") {
            (least, most) = (0, 0);
            for (seq, change) in self.of("change").filter(|(_, data)| data["step"] == "begun") {
                if change.to_string().contains(token) {
                    let outcome = self.ends(seq).next().map(|end| end["outcome"]["type"].clone()).unwrap_or_default();
                    least += usize::from(outcome == "succeeded");
                    most += usize::from(outcome != "not_done");
                }
            }
        }
        (least, most)
    }

    /// What the record says beside what happened.
    fn compare(&self, name: &str, tokens: &BTreeMap<String, usize>) -> Vec<String> {
        let mut wrong = Vec::new();
        for number in 1..=4 {
            let token = format!("{name}-c{number}");
            let (least, most) = self.bounds(&token);
            let times = tokens.get(&token).copied().unwrap_or_default();
            if times < least || times > most {
                let result = self.result(&token);
                wrong.push(format!("{token} happened {times} times; on record is {result:?}"));
            }
        }
        if let Some((outcome, text)) = self.result(&format!("{name}-c3"))
            && outcome == "exited"
        {
            for what in ["before", "after"] {
                let lines = text.lines().filter(|line| line.starts_with(what)).count();
                if lines != PRINTED {
                    wrong.push(format!("{lines} of the {PRINTED} lines {what:?} are on record"));
                }
            }
        }
        wrong
    }

    /// What became of it, in short.
    #[must_use]
    pub fn tally(&self, name: &str) -> Tally {
        let mut outcomes = BTreeMap::new();
        for number in 1..=4 {
            let part = format!("c{number}");
            let token = format!("{name}-{part}");
            let mut outcome = self.result(&token).map_or_else(|| "lost".to_owned(), |(outcome, _)| outcome);
            if part == "c4" && outcome == "exited" && self.bounds(&token) != (1, 1) {
                outcome = "refused".into();
            }
            outcomes.insert(part, outcome);
        }
        // Another entry says that its container was found again.
        let again = |data: &Value| data["event"] == "resumed" && data["details"]["container"].is_null();
        let resumed = self.of("control").filter(|(_, data)| again(data)).count();
        Tally { outcomes, entries: self.entries.len(), resumed }
    }
}

/// Whether the text has the token as a word of its own.
fn has(text: &str, token: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '-').any(|word| word == token)
}
