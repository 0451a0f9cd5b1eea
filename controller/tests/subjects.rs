//! The subjects of this project: their files, and what their invariants say of recorded and of made-up readings.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "subjects/files.rs"]
mod files;
#[path = "subjects/record.rs"]
mod record;

#[test]
fn every_subject_is_as_the_api_server_wants_it() {
    for (path, subject) in files::all() {
        if let Err(errors) = kube::core::cel::validate_cel(&subject) {
            panic!("{path}: {errors}");
        }
        let mistakes = controller::probe::mistakes(&subject.spec.probes);
        assert!(mistakes.is_empty(), "{path}: {mistakes:?}");
    }
}

/// What an agent's `docker compose` is given is the file that people use.
#[test]
fn the_compose_file_in_a_subject_is_the_one_beside_it() {
    let mut compared = 0;
    for (path, subject) in files::all() {
        let docker = subject.spec.r#where.docker.unwrap();
        let Some(text) = docker.compose_file else { continue };
        let beside = std::fs::read_to_string(path.replace("subject.yaml", "compose.yaml")).unwrap();
        assert_eq!(text, beside, "{path}: copy compose.yaml into where.docker.composeFile");
        compared += 1;
    }
    assert_eq!(compared, 2);
}

/// Records the rounds of a subject that runs: `RECORD=ratelimiter:60:FILE cargo test --test subjects -- --ignored recording`.
#[tokio::test]
#[ignore = "records from a system that runs"]
async fn recording() {
    let wish = std::env::var("RECORD").expect("RECORD=SUBJECT:SECONDS:FILE");
    let [subject, seconds, file] = wish.splitn(3, ':').collect::<Vec<_>>().try_into().expect("SUBJECT:SECONDS:FILE");
    record::record(subject, seconds.parse().unwrap(), file).await;
}
