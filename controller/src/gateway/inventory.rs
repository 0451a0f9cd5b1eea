//! What belongs to the subject: containers, networks, volumes and images, by compose's label of the project.
//!
//! A name becomes a full id here, or it does not exist. What is not the subject's and what is not there at
//! all give the same answer.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bollard::models::ContainerInspectResponse;
use http::StatusCode;
use serde::Deserialize;

use super::engine::{Engine, EngineError};
use super::host_access;
use super::limits::Limits;
use super::refusal::Refusal;
use super::replacement::Project;
use super::request::Reference;

/// Compose's label of a service.
const SERVICE: &str = "com.docker.compose.service";
/// Compose's label of a project.
const PROJECT: &str = "com.docker.compose.project";
/// What carries it is a session's, not the subject's.
const SESSION: &str = crds::names::LABEL_SESSION;

/// How many of the project's containers, removed ones too, are remembered as templates.
const TEMPLATES: usize = 64;

/// How many things are remembered as the subject's, for events about what is gone.
const REMEMBERED: usize = 4096;

/// One of the subject's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The full id.
    pub id: String,
    /// Its names, each with a slash in front.
    #[serde(default)]
    pub names: Vec<String>,
    /// The image as it was named, or its id.
    #[serde(default)]
    pub image: String,
    /// The image's id.
    #[serde(default, rename = "ImageID")]
    pub image_id: String,
    /// `running`, `exited` and so on.
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    labels: Option<HashMap<String, String>>,
}

impl Container {
    /// Its name, without links.
    #[must_use]
    pub fn name(&self) -> &str {
        let mut names = self.names.iter().filter_map(|name| name.strip_prefix('/'));
        names.find(|name| !name.contains('/')).unwrap_or(&self.id)
    }

    /// Its compose service.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.labels.as_ref()?.get(SERVICE).map(String::as_str)
    }
}

/// One of the subject's networks or volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Named {
    /// The full id; of a volume nothing.
    #[serde(default)]
    pub id: String,
    /// The name.
    pub name: String,
    #[serde(default)]
    labels: Option<HashMap<String, String>>,
    #[serde(default)]
    options: serde_json::Value,
}

impl Named {
    /// Whether a volume is a path of the host in disguise.
    fn is_bound(&self) -> bool {
        let device = self.options.get("device").and_then(serde_json::Value::as_str);
        device.is_some_and(|device| device.starts_with('/'))
    }
}

#[derive(Deserialize)]
struct Volumes {
    #[serde(default, rename = "Volumes")]
    volumes: Option<Vec<Named>>,
}

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

    /// The volumes, whosever they are, that are paths of the host in disguise.
    async fn bound_volumes(&self) -> Result<BTreeSet<String>, EngineError> {
        let list: Volumes = self.engine.get("/volumes").await?;
        let bound = list.volumes.unwrap_or_default().into_iter().filter(Named::is_bound);
        Ok(bound.map(|volume| volume.name).collect())
    }

    /// What of the project a replacement may use.
    pub async fn project(&self, trust_host_access: bool) -> Result<Project, EngineError> {
        let mut networks: BTreeMap<String, String> = BTreeMap::new();
        // External ones, too, that its containers are in.
        for template in self.templates() {
            let settings = template.network_settings.as_ref().and_then(|settings| settings.networks.clone());
            for (name, endpoint) in settings.into_iter().flatten() {
                networks.extend(endpoint.network_id.filter(|id| !id.is_empty()).map(|id| (name, id)));
            }
        }
        let own = self.networks(true).await?;
        networks.extend(own.iter().map(|network| (network.name.clone(), network.id.clone())));
        let bound_volumes = if trust_host_access { BTreeSet::new() } else { self.bound_volumes().await? };
        Ok(Project { name: self.project.clone(), networks, bound_volumes })
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
        found.ok_or(Refusal { status: StatusCode::NOT_FOUND, reason: sentence })
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

    /// All that the engine says of a container, remembered from now on.
    pub async fn inspect(&self, id: &str) -> Result<Arc<ContainerInspectResponse>, EngineError> {
        let inspect: ContainerInspectResponse = self.engine.get(&format!("/containers/{id}/json")).await?;
        let inspect = Arc::new(inspect);
        let mut state = self.state();
        state.templates.retain(|known| known.id != inspect.id);
        if state.templates.len() >= TEMPLATES {
            state.templates.pop_front();
        }
        state.templates.push_back(inspect.clone());
        Ok(inspect)
    }

    /// What was said of a container when it was last looked at; looks if it never was.
    async fn inspected(&self, id: &str) -> Result<Arc<ContainerInspectResponse>, EngineError> {
        let known = self.state().templates.iter().find(|known| known.id.as_deref() == Some(id)).cloned();
        match known {
            Some(known) => Ok(known),
            None => self.inspect(id).await,
        }
    }

    /// Why a container would give the host away. What counts is fixed when a container is made.
    pub async fn host_access(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let inspect = self.inspected(id).await?;
        Ok(host_access::reasons(&inspect, &self.bound_volumes().await?))
    }

    /// Looks at each container of the project that was not looked at yet.
    pub async fn look_around(&self) -> Result<(), EngineError> {
        for container in self.containers(true).await?.iter() {
            match self.inspected(&container.id).await {
                // It went away in the meantime.
                Ok(_) | Err(EngineError::Said { status: StatusCode::NOT_FOUND, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Every container that the project is known to have or to have had, the one last looked at first.
    #[must_use]
    pub fn templates(&self) -> Vec<Arc<ContainerInspectResponse>> {
        self.state().templates.iter().rev().cloned().collect()
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

/// A name with a tag, as the engine writes it.
fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') || last.contains('@') { name.to_owned() } else { format!("{name}:latest") }
}

/// Which one is meant: a full id, else a name, else the beginning of exactly one id, as the engine does it.
fn pick<'a, T>(
    kind: &str,
    wanted: &str,
    things: &'a [T],
    id: impl Fn(&T) -> &String,
    named: impl Fn(&T, &str) -> bool,
) -> Result<&'a T, Refusal> {
    let exact = things.iter().find(|thing| id(thing) == wanted);
    if let Some(thing) = exact.or_else(|| things.iter().find(|thing| named(thing, wanted))) {
        return Ok(thing);
    }
    let mut begins = things.iter().filter(|thing| !wanted.is_empty() && id(thing).starts_with(wanted));
    match (begins.next(), begins.next()) {
        (Some(thing), None) => Ok(thing),
        (Some(_), Some(_)) => Err(Refusal::bad(format!("several of the subject's {kind}s begin with {wanted}"))),
        _ if kind == "network" => {
            Err(Refusal { status: StatusCode::NOT_FOUND, reason: format!("network {wanted} not found") })
        }
        _ => Err(Refusal::not_found(kind, wanted)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, name: &str) -> Container {
        Container { id: id.into(), names: vec![format!("/{name}"), "/other/alias".into()], ..Container::default() }
    }

    fn found(wanted: &str) -> Result<String, Refusal> {
        let list = [container("abc1", "web"), container("abd2", "abc"), container("ffff", "abd2")];
        pick(
            "container",
            wanted,
            &list,
            |c| &c.id,
            |c, name| c.names.iter().any(|own| own.strip_prefix('/') == Some(name)),
        )
        .map(|container| container.id.clone())
    }

    #[test]
    fn an_id_goes_before_a_name_and_a_name_before_the_beginning_of_an_id() {
        assert_eq!(found("abd2").unwrap(), "abd2");
        assert_eq!(found("abc").unwrap(), "abd2");
        assert_eq!(found("abc1").unwrap(), "abc1");
        assert_eq!(found("f").unwrap(), "ffff");
    }

    #[test]
    fn what_could_be_two_is_none() {
        assert_eq!(found("ab").unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_is_not_there_is_not_there() {
        assert_eq!(found("zz").unwrap_err(), Refusal::not_found("container", "zz"));
        assert_eq!(found("").unwrap_err().status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_name_is_shown_without_links() {
        let mut linked = container("abc1", "web");
        linked.names.reverse();
        assert_eq!(linked.name(), "web");
    }

    #[test]
    fn a_tag_is_latest_if_there_is_none() {
        assert_eq!(tagged("redis"), "redis:latest");
        assert_eq!(tagged("localhost:5000/redis"), "localhost:5000/redis:latest");
        assert_eq!(tagged("redis:7"), "redis:7");
    }
}
