//! Row, then command, then result, on a real Postgres that refuses writes at each step in turn.

use std::sync::{Arc, Mutex};

use controller::agent::SessionEnd;
use controller::audit::testing::{TestDatabase, database};
use controller::audit::{AuditStore, Entry, EntryBody};
use controller::model::fake::{FakeModel, Step, calls};
use controller::sandbox::CommandResult;
use controller::session::SessionId;
use serde_json::json;

use crate::rig::{Rig, conclude, shell};

fn script() -> Vec<Step> {
    let two = [
        ("a", "shell", json!({"command": "one", "reasoning": "r"})),
        ("b", "shell", json!({"command": "two", "reasoning": "r"})),
    ];
    vec![calls(&two), shell("c", "three"), conclude("d")]
}

/// Plays the script on `database`. The sandbox looks into the database before each command "runs",
/// and complains unless the last committed row is that command's own.
async fn play(database: &TestDatabase) -> (SessionEnd, Vec<String>, Vec<Entry>, Vec<String>) {
    let session: SessionId = "2026-01-28T20-54-48-3a029c12".to_owned().into();
    let (store, wrong) = (Arc::new(database.store()), Arc::new(Mutex::new(Vec::new())));
    let rig = Rig::with({
        let (store, wrong, session) = (store.clone(), wrong.clone(), session.clone());
        move |command| {
            let rows = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(store.entries(&session, 0, 1000)).unwrap()
            });
            let last = rows.last().unwrap();
            let own =
                matches!(&last.body, EntryBody::ToolCall(call) if call.command.as_deref() == Some(&command.command));
            if !own || last.seq != command.seq {
                wrong.lock().unwrap().push(format!("{} ran after {last:?}", command.command));
            }
            CommandResult::exited(0, &command.command, "")
        }
    });
    let (end, _) = rig.run_on(store.clone(), Arc::new(FakeModel::new(script()))).await;
    let rows = store.entries(&session, 0, 1000).await.unwrap();
    let wrong = wrong.lock().unwrap().clone();
    (end, rig.provider.commands(), rows, wrong)
}

/// Refuses the row with this number for good. (That the recorder waits for a store that is away for a
/// while is shown in `audit_recorder.rs`.)
async fn refuse(database: &TestDatabase, seq: usize) {
    database
        .as_owner(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               RAISE EXCEPTION 'refused by a test'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON entries FOR EACH ROW WHEN (NEW.seq = {seq})
               EXECUTE FUNCTION refuse()"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_runs_unrecorded_whichever_write_postgres_refuses() {
    let (end, commands, whole, wrong) = play(&database().await).await;
    assert!(matches!(end, SessionEnd::Concluded(_)), "{end:?}");
    assert_eq!(commands, ["one", "two", "three"]);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(whole.len() >= 14, "{}", whole.len());

    for refused in 1..=whole.len() {
        let database = database().await;
        refuse(&database, refused).await;
        let (end, commands, rows, wrong) = play(&database).await;
        assert_eq!(wrong, Vec::<String>::new(), "row {refused} refused");
        assert_eq!(rows.len(), refused - 1, "nothing is written behind a row that is missing");
        // A command ran if and only if its row stands there.
        let recorded: Vec<_> = rows
            .iter()
            .filter_map(|row| match &row.body {
                EntryBody::ToolCall(call) => call.command.clone(),
                _ => None,
            })
            .collect();
        assert_eq!(commands, recorded, "row {refused} refused");
        // The last row is only the seal of an end that was reached.
        if refused < whole.len() {
            let SessionEnd::Failed { reason, .. } = &end else { panic!("row {refused} refused: {end:?}") };
            assert_eq!(reason, "AuditUnavailable");
        }
    }
}
