//! What the person may do, asked of the API server.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};

use super::Shared;
use crate::feed::{Closed, FeedEvent, Outlet};
use crate::rights::Right;
use crate::settings::Scope;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rights that could not be asked for are asked for again after this.
const AGAIN: Duration = Duration::from_secs(30);

/// Asks at the start and whenever other namespaces are looked at.
pub(super) async fn ask(shared: Arc<Shared>, outlet: Outlet) -> Result<(), Closed> {
    let mut scopes = shared.scope.subscribe();
    loop {
        let scope = scopes.borrow_and_update().clone();
        let mut known = true;
        for right in [Right::PatchIncidents, Right::PatchChapters] {
            match review(&shared.client, right, &scope).await {
                Some(granted) => outlet.one(FeedEvent::Right { right, granted }).await?,
                None => known = false,
            }
        }
        let again = async { if known { std::future::pending().await } else { tokio::time::sleep(AGAIN).await } };
        tokio::select! {
            changed = scopes.changed() => if changed.is_err() { return Ok(()) },
            () = again => {}
        }
    }
}

async fn review(client: &kube::Client, right: Right, scope: &Scope) -> Option<bool> {
    let (verb, resource) = match right {
        Right::PatchIncidents => ("patch", "incidents"),
        Right::PatchChapters => ("patch", "demochapters"),
        Right::PortForward => return None,
    };
    let attributes = ResourceAttributes {
        group: Some(crds::GROUP.to_owned()),
        resource: Some(resource.to_owned()),
        verb: Some(verb.to_owned()),
        namespace: scope.namespace().map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let asked = tokio::time::timeout(PATIENCE, reviews.create(&PostParams::default(), &review)).await;
    asked.ok()?.ok()?.status.map(|status| status.allowed)
}
