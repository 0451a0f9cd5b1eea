//! What belongs to the subject: containers, networks, volumes and images, by compose's label of the project.
//!
//! A name becomes a full id here, or it does not exist. What is not the subject's and what is not there at
//! all give the same answer.
//!
//! * `things`: as the engine lists them; `templates`: what the containers are or were.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bollard::models::ContainerInspectResponse;
use http::StatusCode;
use serde::Deserialize;

use super::engine::{Engine, EngineError};
use super::limits::Limits;
use super::refusal::Refusal;
use super::request::Reference;

mod templates;
mod things;

pub use things::{Container, Named};

use things::{Volumes, pick, tagged};

/// Compose's label of a project.
const PROJECT: &str = "com.docker.compose.project";
/// What carries it is a session's, not the subject's.
const SESSION: &str = crds::names::LABEL_SESSION;

/// How many things are remembered as the subject's, for events about what is gone.
const REMEMBERED: usize = 4096;

/// The subject's things.
#[derive(Debug)]
pub struct Inventory {
    engine: Engine,
    project: String,
    filter: String,
    fresh: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    containers: Option<(Instant, Arc<Vec<Container>>)>,
    networks: Option<(Instant, Arc<Vec<Named>>)>,
    volumes: Option<(Instant, Arc<Vec<Named>>)>,
    /// Inspected containers of the project, the latest last.
    templates: VecDeque<Arc<ContainerInspectResponse>>,
    /// Full ids and volume names that were the subject's at some time.
    remembered: VecDeque<String>,
}

impl Inventory {
    /// The things of this project.
    #[must_use]
    pub fn new(engine: Engine, project: &str, limits: &Limits) -> Self {
        let filter = serde_json::json!({ "label": [format!("{PROJECT}={project}")] }).to_string();
        let (project, filter) = (project.to_owned(), encoded(&filter));
        Self { engine, project, filter, fresh: limits.fresh, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether these labels are those of a thing of the subject.
    fn owns<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        label(PROJECT) == Some(self.project.as_str()) && label(SESSION).is_none()
    }

    /// The same for labels in JSON.
    #[must_use]
    pub fn owns_map(&self, labels: &serde_json::Map<String, serde_json::Value>) -> bool {
        self.owns(|name| labels.get(name).and_then(serde_json::Value::as_str))
    }

    fn owns_labels(&self, labels: Option<&HashMap<String, String>>) -> bool {
        labels.is_some_and(|labels| self.owns(|name| labels.get(name).map(String::as_str)))
    }

    /// What is known is not true any more.
    pub fn forget(&self) {
        let mut state = self.state();
        (state.containers, state.networks, state.volumes) = (None, None, None);
    }

    /// The subject's containers, no older than `fresh` if that is given.
    pub async fn containers(&self, fresh: bool) -> Result<Arc<Vec<Container>>, EngineError> {
        if !fresh
            && let Some((at, list)) = &self.state().containers
            && at.elapsed() < self.fresh
        {
            return Ok(list.clone());
        }
        let asked = Instant::now();
        let path = format!("/containers/json?all=1&filters={}", self.filter);
        let mut list: Vec<Container> = self.engine.get(&path).await?;
        list.retain(|container| self.owns_labels(container.labels.as_ref()));
        let list = Arc::new(list);
        let mut state = self.state();
        state.remember(list.iter().map(|container| &container.id));
        state.containers = Some((asked, list.clone()));
        Ok(list)
    }

    /// The subject's networks.
    pub async fn networks(&self, fresh: bool) -> Result<Arc<Vec<Named>>, EngineError> {
        if !fresh
            && let Some((at, list)) = &self.state().networks
            && at.elapsed() < self.fresh
        {
            return Ok(list.clone());
        }
        let asked = Instant::now();
        let mut list: Vec<Named> = self.engine.get(&format!("/networks?filters={}", self.filter)).await?;
        list.retain(|network| self.owns_labels(network.labels.as_ref()));
        let list = Arc::new(list);
        let mut state = self.state();
        state.remember(list.iter().map(|network| &network.id));
        state.networks = Some((asked, list.clone()));
        Ok(list)
    }

    /// The subject's volumes.
    pub async fn volumes(&self, fresh: bool) -> Result<Arc<Vec<Named>>, EngineError> {
        if !fresh
            && let Some((at, list)) = &self.state().volumes
            && at.elapsed() < self.fresh
        {
            return Ok(list.clone());
        }
        let asked = Instant::now();
        let list: Volumes = self.engine.get(&format!("/volumes?filters={}", self.filter)).await?;
        let mut list = list.volumes.unwrap_or_default();
        list.retain(|volume| self.owns_labels(volume.labels.as_ref()));
        let list = Arc::new(list);
        let mut state = self.state();
        state.remember(list.iter().map(|volume| &volume.name));
        state.volumes = Some((asked, list.clone()));
        Ok(list)
    }

    /// The container that is meant. For a change always asked anew.
    pub async fn container(&self, reference: &Reference, fresh: bool) -> Result<Container, Refusal> {
        let find = |list: &[Container]| {
            pick(
                "container",
                &reference.0,
                list,
                |c| &c.id,
                |c, name| c.names.iter().any(|own| own.strip_prefix('/') == Some(name)),
            )
            .cloned()
        };
        let list = self.containers(fresh).await.map_err(|error| error.refusal())?;
        match find(&list) {
            // It may be younger than what is known.
            Err(refusal) if !fresh && refusal.status == StatusCode::NOT_FOUND => {
                find(&self.containers(true).await.map_err(|error| error.refusal())?)
            }
            found => found,
        }
    }

    /// The network that is meant.
    pub async fn network(&self, reference: &Reference, fresh: bool) -> Result<Named, Refusal> {
        let find = |list: &[Named]| pick("network", &reference.0, list, |n| &n.id, |n, name| n.name == name).cloned();
        let list = self.networks(fresh).await.map_err(|error| error.refusal())?;
        match find(&list) {
            Err(refusal) if !fresh && refusal.status == StatusCode::NOT_FOUND => {
                find(&self.networks(true).await.map_err(|error| error.refusal())?)
            }
            found => found,
        }
    }

    /// The volume that is meant; volumes have nothing but names.
    pub async fn volume(&self, reference: &Reference) -> Result<Named, Refusal> {
        let list = self.volumes(true).await.map_err(|error| error.refusal())?;
        let found = list.iter().find(|volume| volume.name == reference.0).cloned();
        // The engine's own sentence for volumes: "get NAME: no such volume".
        let sentence = format!("get {}: no such volume", reference.0);
        found.ok_or(Refusal::new(StatusCode::NOT_FOUND, sentence))
    }

    /// The ids of the images that the subject's containers have or had, with the names they go by there.
    pub async fn images(&self, fresh: bool) -> Result<HashMap<String, Vec<String>>, EngineError> {
        let list = self.containers(fresh).await?;
        let mut images: HashMap<String, Vec<String>> = HashMap::new();
        let mut add = |id: &str, name: &str| {
            let names = images.entry(id.to_owned()).or_default();
            if !name.starts_with("sha256:") && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        };
        for container in list.iter() {
            add(&container.image_id, &container.image);
        }
        for template in &self.state().templates {
            let name = template.config.as_ref().and_then(|config| config.image.as_deref());
            if let (Some(id), Some(name)) = (template.image.as_deref(), name) {
                add(id, name);
            }
        }
        Ok(images)
    }

    /// The id of the image that is meant, with its names.
    pub async fn image(&self, reference: &Reference) -> Result<(String, Vec<String>), Refusal> {
        let images = self.images(false).await.map_err(|error| error.refusal())?;
        let named = |names: &[String]| names.iter().any(|name| tagged(name) == tagged(&reference.0));
        let found = images.iter().find(|(id, names)| **id == reference.0 || named(names));
        let found = found.or_else(|| {
            let prefix = reference.0.strip_prefix("sha256:").unwrap_or(&reference.0);
            let is_hex = prefix.len() >= 4 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
            let begins = |id: &str| is_hex && id.strip_prefix("sha256:").unwrap_or(id).starts_with(prefix);
            let mut matching = images.iter().filter(|(id, _)| begins(id));
            matching.next().filter(|_| matching.next().is_none())
        });
        let found = found.map(|(id, known)| (id.clone(), known.clone()));
        found.ok_or_else(|| Refusal::not_found("image", &tagged(&reference.0)))
    }

    /// The id that the engine has for an image which the subject's containers have or had.
    pub async fn image_id(&self, name: &str) -> Result<String, Refusal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Image {
            id: String,
        }
        self.image(&Reference(name.to_owned())).await?;
        // The name may mean another one by now.
        let image: Result<Image, _> = self.engine.get(&format!("/images/{}/json", encoded(name))).await;
        image.map(|image| image.id).map_err(|error| error.refusal())
    }

    /// Whether this id or volume name is or was the subject's. Asks the engine for what is not known.
    pub async fn remembers(&self, kind: &str, id: &str) -> bool {
        if self.state().remembered.iter().any(|known| known == id) {
            return true;
        }
        // As fresh as the cache: a flood of others' events is not a flood of questions.
        let asked = match kind {
            "container" => self.containers(false).await.is_ok(),
            "network" => self.networks(false).await.is_ok(),
            "volume" => self.volumes(false).await.is_ok(),
            _ => false,
        };
        asked && self.state().remembered.iter().any(|known| known == id)
    }
}

impl State {
    fn remember<'a>(&mut self, things: impl Iterator<Item = &'a String>) {
        for thing in things {
            if !self.remembered.contains(thing) {
                if self.remembered.len() >= REMEMBERED {
                    self.remembered.pop_front();
                }
                self.remembered.push_back(thing.clone());
            }
        }
    }
}

/// A query's value, with everything encoded that might mean something.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
