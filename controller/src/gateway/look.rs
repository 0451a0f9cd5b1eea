//! Calls that only look, at lists and at what is no container.

use std::collections::HashSet;
use std::sync::Arc;

use http::{Method, Response, StatusCode};
use serde_json::Value;

use super::answer;
use super::body::{Body, json};
use super::call::{self, EngineCall};
use super::forward::{Gateway, passed};
use super::inventory::encoded;
use super::refusal::Refusal;
use super::request::Ask;
use super::watch;

impl Gateway {
    /// Answers what asks for a list, or for a thing that is no container.
    pub(super) async fn look(self: Arc<Self>, ask: Ask) -> Result<Response<Body>, Refusal> {
        let inventory = &self.inventory;
        let is_subject = |labels: &serde_json::Map<String, Value>| inventory.owns_map(labels);
        match ask {
            Ask::Ping => self.pass(&plain("/_ping"), Some(self.limits.answer)).await,
            Ask::Version => self.pass(&plain("/version"), Some(self.limits.answer)).await,
            Ask::Info => {
                let containers = inventory.containers(false).await.map_err(|error| error.refusal())?;
                let images = inventory.images(false).await.map_err(|error| error.refusal())?;
                let states: Vec<&str> = containers.iter().map(|container| container.state.as_str()).collect();
                self.reduced(&plain("/info"), |info| answer::info(&info, &states, images.len())).await
            }
            Ask::Containers(ref list) => {
                let call = call::containers(list, &self.policy.project)?;
                self.reduced(&call, |list| answer::owned(list, is_subject)).await
            }
            Ask::Networks(ref filters) => {
                self.reduced(&call::networks(filters)?, |list| answer::owned(list, is_subject)).await
            }
            Ask::Volumes(ref filters) => {
                self.reduced(&call::volumes(filters)?, |list| answer::volumes(list, is_subject)).await
            }
            Ask::Images(ref filters) => {
                let images = inventory.images(false).await.map_err(|error| error.refusal())?;
                self.reduced(&call::images(filters)?, |list| answer::images(list, &images)).await
            }
            Ask::Network(ref reference) => {
                let network = inventory.network(reference, false).await?;
                let containers = inventory.containers(false).await.map_err(|error| error.refusal())?;
                let ids: HashSet<&str> = containers.iter().map(|container| container.id.as_str()).collect();
                let call = plain(&format!("/networks/{}", encoded(&network.id)));
                self.reduced(&call, |inspect| answer::network(inspect, &ids)).await
            }
            Ask::Volume(ref reference) => {
                let volume = inventory.volume(reference).await?;
                self.pass(&plain(&format!("/volumes/{}", encoded(&volume.name))), Some(self.limits.answer)).await
            }
            Ask::Image(ref reference) => {
                let (id, names) = inventory.image(reference).await?;
                let call = plain(&format!("/images/{id}/json"));
                self.reduced(&call, |inspect| answer::image(inspect, &names)).await
            }
            Ask::Events(ref events) => {
                let response = self.send(&plain(&watch::target(events)), Some(self.limits.answer)).await?;
                if response.status() != StatusCode::OK {
                    return Ok(passed(response));
                }
                let headers = answer::headers(response.headers());
                let mut watched = Response::new(watch::events(response.into_body(), self.inventory.clone()));
                *watched.headers_mut() = headers;
                Ok(watched)
            }
            _ => Err(Refusal::forbidden("this call is not known here")),
        }
    }

    /// Reads an answer whole and passes on what is left of it; errors as they are.
    async fn reduced(&self, call: &EngineCall, reduce: impl FnOnce(Value) -> Value) -> Result<Response<Body>, Refusal> {
        let response = self.send(call, Some(self.limits.answer)).await?;
        if !response.status().is_success() {
            return Ok(passed(response));
        }
        let headers = answer::headers(response.headers());
        let (status, bytes) = self.engine.collect(response).await.map_err(|error| error.refusal())?;
        let whole = serde_json::from_slice(&bytes).map_err(|error| {
            Refusal::new(StatusCode::BAD_GATEWAY, format!("the Docker engine's answer cannot be read: {error}"))
        })?;
        let mut answer = json(status, &reduce(whole));
        answer.headers_mut().extend(headers);
        Ok(answer)
    }
}

/// A call without parameters.
fn plain(path_and_query: &str) -> EngineCall {
    EngineCall { method: Method::GET, path_and_query: format!("/v1.41{path_and_query}"), body: None }
}
