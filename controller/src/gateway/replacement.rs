//! What a new container may be: a replacement of one that the subject has, and nothing more powerful.

mod mounts;
mod powers;
mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig, NetworkingConfig};

pub use template::choose_template;

use super::call::PROJECT_LABEL;
use super::refusal::Refusal;
use super::request::Create;

const SERVICE_LABEL: &str = "com.docker.compose.service";

/// What compose itself writes on a container.
const COMPOSE_LABELS: [&str; 13] = [
    PROJECT_LABEL,
    SERVICE_LABEL,
    "com.docker.compose.config-hash",
    "com.docker.compose.container-number",
    "com.docker.compose.depends_on",
    "com.docker.compose.image",
    "com.docker.compose.oneoff",
    "com.docker.compose.project.config_files",
    "com.docker.compose.project.environment_file",
    "com.docker.compose.project.working_dir",
    "com.docker.compose.replace",
    "com.docker.compose.slug",
    "com.docker.compose.version",
];

/// What of the project a replacement may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The ids of its networks by their names, external ones included that its containers are in.
    pub networks: BTreeMap<String, String>,
    /// Named volumes that are paths of the host in disguise: closed, unless the policy trusts them and this is
    /// empty.
    pub bound_volumes: BTreeSet<String>,
}

impl Project {
    /// A network's id, by name, id or the beginning of its id.
    fn network(&self, reference: &str) -> Option<&String> {
        let is = |name: &str, id: &str| name == reference || (reference.len() >= 12 && id.starts_with(reference));
        // Those of the engine itself lead to everybody's containers, and to the host.
        let mut own = self.networks.iter().filter(|(name, _)| !matches!(name.as_str(), "host" | "bridge" | "none"));
        own.find(|(name, id)| is(name, id)).map(|(_, id)| id)
    }
}

/// Compares what is asked for with what is replaced, and gives what is sent to the engine. `image_id` is the id
/// that the engine has for the image that is asked for.
///
/// The image stays as it was named: its id would be all that people see of it afterwards.
pub fn check(
    create: &Create,
    image_id: &str,
    template: &ContainerInspectResponse,
    project: &Project,
) -> Result<ContainerCreateBody, Refusal> {
    let mut body = create.body.clone();
    if image_id.is_empty() || template.image.as_deref() != Some(image_id) {
        return Err(Refusal::forbidden(format!(
            "a replacement has the image of what it replaces: use {}",
            template.config.as_ref().and_then(|config| config.image.as_deref()).unwrap_or("the same")
        )));
    }
    let nothing = HostConfig::default();
    let of_template = template.host_config.as_ref().unwrap_or(&nothing);
    let mut host = body.host_config.take().unwrap_or_default();
    mounts::check(&body, &host, template, project)?;
    powers::check(&host, of_template)?;
    body.labels = Some(labels(body.labels.take().unwrap_or_default(), template, &project.name)?);
    let mode = network(host.network_mode.as_deref(), project)?;
    body.networking_config = endpoints(body.networking_config.take(), project)?;
    host.network_mode = Some(mode);
    // The engine's own default shares it with whoever asks.
    host.ipc_mode.get_or_insert_with(|| "private".to_owned());
    body.host_config = Some(host);
    Ok(body)
}

/// Whether a container of the project may have this name: one as compose would give it, one that a container of the
/// project has or had (`known`, with or without the engine's slash), or such a one as compose sets aside.
pub fn may_be_called<'a>(name: &str, project: &str, mut known: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let of_project = name.strip_prefix(project).is_some_and(|rest| rest.starts_with(['-', '_']));
    // While compose replaces a container, the old one is called ID_NAME.
    let set_aside = name.split_once('_').filter(|(id, _)| id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let plain = set_aside.map_or(name, |(_, plain)| plain);
    if of_project || known.any(|known| [name, plain].contains(&known.trim_start_matches('/'))) {
        return Ok(());
    }
    Err(Refusal::forbidden(format!(
        "a container of this project has the name of one that the project has or had, or one that begins with {project}-"
    )))
}

/// The template's labels with what compose says anew.
fn labels(
    asked: HashMap<String, String>,
    template: &ContainerInspectResponse,
    project: &str,
) -> Result<HashMap<String, String>, Refusal> {
    let mut labels = template.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
    for (name, value) in asked {
        let same = labels.get(&name) == Some(&value);
        let fixed = name == PROJECT_LABEL || name == SERVICE_LABEL;
        if !same && (fixed || !COMPOSE_LABELS.contains(&name.as_str())) {
            return Err(Refusal::forbidden(format!(
                "a replacement has the labels of what it replaces: leave out the label {:?}",
                name.chars().take(100).collect::<String>()
            )));
        }
        labels.insert(name, value);
    }
    labels.insert(PROJECT_LABEL.to_owned(), project.to_owned());
    Ok(labels)
}

fn network(mode: Option<&str>, project: &Project) -> Result<String, Refusal> {
    if mode == Some("none") {
        return Ok("none".to_owned());
    }
    let known = mode.and_then(|mode| project.network(mode)).cloned();
    known.ok_or_else(|| {
        let names: Vec<&str> = project.networks.keys().map(String::as_str).collect();
        Refusal::forbidden(format!(
            "a replacement is in a network of the project: use --network NAME with one of {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ))
    })
}

fn endpoints(config: Option<NetworkingConfig>, project: &Project) -> Result<Option<NetworkingConfig>, Refusal> {
    let Some(endpoints) = config.and_then(|config| config.endpoints_config) else { return Ok(None) };
    let mut known = HashMap::new();
    for (name, endpoint) in endpoints {
        let id = network(Some(&name), project)?;
        if known.insert(id, endpoint).is_some() {
            return Err(Refusal::bad("one network is named twice"));
        }
    }
    Ok(Some(NetworkingConfig { endpoints_config: Some(known) }))
}
