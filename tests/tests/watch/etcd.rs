//! etcd: a member is killed, and the quota is filled.

use serde_json::json;

use crate::watched::Watched;

/// There is one cluster of etcd, so both are one test.
#[tokio::test]
async fn a_member_is_brought_back_and_space_is_made() {
    let watched = Watched::begin("etcd", "etcd", json!({})).await;
    let incident = watched.is_repaired("member-killed", "member_down").await;
    assert!(incident.spec.title.contains("etcd2"), "{}", incident.spec.title);
    watched.is_repaired("quota-filled", "no_space").await;
    watched.end().await;
}
