//! What helpers are: shut in as all of our containers are, each with the one thing that its job takes.
//!
//! They obey what the gateway asks of a container that is made for the subject (images, networks and volumes of the
//! project, nothing of the host, no power that the target has not), but for `NET_ADMIN` in the target's own network
//! namespace. None bears compose's labels, not even those that an image brings along, so neither the agent nor the
//! monitor takes one for the project's. One that stands on the project's networks can be looked up there by its name,
//! which therefore says nothing of what it is.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, RestartPolicy, RestartPolicyNameEnum,
};

use super::super::{OPERATOR, body, names};
use crate::fault::Key;
use crate::fault::job::{Job, VARIABLE, VOLUME};
use crate::fault::plan::{Command, Seat};
use crate::sandbox::NetworkRef;

/// For our own program.
const MEMORY: i64 = 64 << 20;
const PIDS: i64 = 32;
/// For programs of the project's images: a load generator, a client that reads much.
const MEMORY_OF_COMMANDS: i64 = 512 << 20;
const PIDS_OF_COMMANDS: i64 = 256;
/// One core.
const NANO_CPUS: i64 = 1_000_000_000;
/// Who asks, where nothing but a socket is needed.
const NOBODY: &str = "65534:65534";
const ROOT: &str = "0:0";

/// Where a helper stands, and so what it can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// In the network namespace of this container.
    In(String),
    /// On these networks.
    On(Vec<NetworkRef>),
    /// Nowhere, with this volume.
    At { volume: String, overrides: bool },
}

/// What a helper runs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Runs {
    /// A job, by our own program.
    Job { json: String },
    /// A command, by the programs of an image.
    Command { image: String, command: Vec<String>, user: String, env: Vec<String> },
}

/// A helper that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Helper {
    /// The hash of its key.
    pub(super) mark: String,
    /// Its container's name. There is one at most.
    pub(super) name: String,
    pub(super) stands: Stands,
    /// How long it may run; nothing for one without an end.
    pub(super) limit: Duration,
    runs: Runs,
}

impl Helper {
    /// One that does a job.
    pub(super) fn job(mark: &str, stands: Stands, job: &Job, limit: Duration) -> Self {
        // What holds no map with odd keys is written whole.
        let json = serde_json::to_string(job).unwrap_or_default();
        Self { mark: mark.to_owned(), name: name(mark, &stands), stands, limit, runs: Runs::Job { json } }
    }

    /// One that runs a command.
    pub(super) fn command(mark: &str, command: &Command) -> Self {
        let stands = match &command.seat {
            Seat::In(container) => Stands::In(container.clone()),
            Seat::On(networks) => Stands::On(networks.clone()),
        };
        let runs = Runs::Command {
            image: command.image.clone(),
            command: command.command.clone(),
            user: command.user.clone(),
            env: command.env.clone(),
        };
        Self { mark: mark.to_owned(), name: name(mark, &stands), stands, limit: command.limit, runs }
    }

    /// The one that takes back what this key did.
    pub(super) fn undoing(self) -> Self {
        let name = undo_name(&self.name);
        self.called(name)
    }

    /// The same under another name.
    pub(super) fn called(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The networks that it stands on beside the first.
    pub(super) fn further_networks(&self) -> &[NetworkRef] {
        match &self.stands {
            Stands::On(networks) => networks.get(1..).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The image of its command, whose labels it would bear; our own has none.
    pub(super) fn foreign_image(&self) -> Option<&str> {
        match &self.runs {
            Runs::Command { image, .. } => Some(image),
            Runs::Job { .. } => None,
        }
    }

    /// The body of the call that makes it. `brought` are the labels that its image brings along.
    pub(super) fn body(
        &self,
        key: &Key,
        installation: &str,
        operator_image: &str,
        epoch: u64,
        brought: &HashMap<String, String>,
    ) -> ContainerCreateBody {
        let common = ContainerCreateBody {
            healthcheck: Some(body::no_healthcheck()),
            labels: Some(self.labels(key, installation, epoch, brought)),
            stop_timeout: Some(1),
            host_config: Some(self.host()),
            ..ContainerCreateBody::default()
        };
        match &self.runs {
            Runs::Job { json } => ContainerCreateBody {
                image: Some(operator_image.to_owned()),
                user: Some(if matches!(self.stands, Stands::On(_)) { NOBODY } else { ROOT }.to_owned()),
                entrypoint: Some(vec![OPERATOR.to_owned()]),
                cmd: Some(vec!["fault".into()]),
                working_dir: Some("/".into()),
                env: Some(vec![format!("{VARIABLE}={json}")]),
                ..common
            },
            Runs::Command { image, command, user, env } => ContainerCreateBody {
                image: Some(image.clone()),
                user: Some(user.clone()).filter(|user| !user.is_empty()),
                entrypoint: Some(command.clone()),
                cmd: Some(Vec::new()),
                env: Some(env.clone()),
                ..common
            },
        }
    }

    fn labels(
        &self,
        key: &Key,
        installation: &str,
        epoch: u64,
        brought: &HashMap<String, String>,
    ) -> HashMap<String, String> {
        let role = if matches!(self.stands, Stands::On(_)) { names::Role::Client } else { names::Role::Fault };
        let ours = [
            (names::INSTALLATION, installation.to_owned()),
            (names::SUBJECT, key.subject.clone()),
            (names::PROJECT, key.project.clone()),
            (names::ROLE, role.as_str().to_owned()),
            (names::FAULT, self.mark.clone()),
            (names::EPOCH, epoch.to_string()),
            ("app.kubernetes.io/managed-by", "operator".to_owned()),
        ];
        // A label of an image cannot be taken off, only be written over.
        let blank = brought.keys().filter(|name| {
            name.starts_with(names::COMPOSE) || (name.starts_with("operator.dev/") && **name != names::FAULT)
        });
        let blank = blank.map(|name| (name.clone(), String::new()));
        blank.chain(ours.map(|(label, value)| (label.to_owned(), value))).collect()
    }

    fn host(&self) -> HostConfig {
        let (memory, pids) = match &self.runs {
            Runs::Job { .. } => (MEMORY, PIDS),
            Runs::Command { .. } => (MEMORY_OF_COMMANDS, PIDS_OF_COMMANDS),
        };
        let administers = matches!((&self.stands, &self.runs), (Stands::In(_), Runs::Job { .. }));
        let overrides = matches!(&self.stands, Stands::At { overrides: true, .. });
        let capabilities = [(administers, "NET_ADMIN"), (overrides, "DAC_OVERRIDE")];
        let capabilities: Vec<String> =
            capabilities.into_iter().filter(|(has, _)| *has).map(|(_, name)| name.to_owned()).collect();
        let network_mode = match &self.stands {
            Stands::In(container) => Some(format!("container:{container}")),
            Stands::On(networks) => networks.first().map(|network| network.id.clone()),
            Stands::At { .. } => Some("none".to_owned()),
        };
        let mounts = match &self.stands {
            Stands::At { volume, .. } => Some(vec![mount(volume)]),
            _ => None,
        };
        HostConfig {
            // It reaps, and hands on the signal that ends it.
            init: Some(true),
            network_mode,
            nano_cpus: Some(NANO_CPUS),
            cap_add: Some(capabilities).filter(|capabilities| !capabilities.is_empty()),
            mounts,
            tmpfs: Some(HashMap::from([("/tmp".into(), "rw,noexec,nosuid,nodev,mode=1777,size=16m".into())])),
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), ..RestartPolicy::default() }),
            ..body::shut_in(memory, pids)
        }
    }
}

fn mount(volume: &str) -> Mount {
    Mount {
        target: Some(VOLUME.into()),
        source: Some(volume.to_owned()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

fn name(mark: &str, stands: &Stands) -> String {
    if matches!(stands, Stands::On(_)) { names::client(mark) } else { names::fault(mark) }
}

pub(super) fn undo_name(name: &str) -> String {
    format!("{name}-undo")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Phase;

    fn key() -> Key {
        Key {
            subject: "default/shop".into(),
            project: "shop".into(),
            demo: "shop".into(),
            chapter: "chaos".into(),
            entered: 1,
            phase: Phase::Act,
            index: 0,
            epoch: 3,
        }
    }

    fn made(helper: &Helper, brought: &[(&str, &str)]) -> ContainerCreateBody {
        let brought = brought.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        helper.body(&key(), "test", "operator:dev", 3, &brought)
    }

    fn networks() -> Vec<NetworkRef> {
        ["n1", "n2"].map(|id| NetworkRef { id: id.into(), name: format!("shop_{id}") }).into()
    }

    fn command(seat: Seat) -> Command {
        Command {
            command: ["redis-cli", "ping"].map(str::to_owned).into(),
            image: "sha256:7".into(),
            user: String::new(),
            env: vec!["A=b".into()],
            seat,
            limit: Duration::from_mins(1),
        }
    }

    #[test]
    fn a_helper_has_nothing_of_the_host_and_one_power_at_most() {
        let at = |overrides| Stands::At { volume: "shop_data".into(), overrides };
        let fill = Job::Fill { file: "/fill/x".into(), mebibytes: 1 };
        let limit = Duration::from_mins(1);
        for (helper, powers, network) in [
            (Helper::job("ab", Stands::In("c1".into()), &Job::Heal, limit), Some("NET_ADMIN"), "container:c1"),
            (Helper::job("ab", Stands::On(networks()), &Job::Heal, limit), None, "n1"),
            (Helper::job("ab", at(false), &fill, limit), None, "none"),
            (Helper::job("ab", at(true), &fill, limit), Some("DAC_OVERRIDE"), "none"),
            (Helper::command("ab", &command(Seat::In("c1".into()))), None, "container:c1"),
            (Helper::command("ab", &command(Seat::On(networks()))), None, "n1"),
        ] {
            let host = made(&helper, &[]).host_config.unwrap();
            assert_eq!((host.privileged, host.binds, host.devices, host.pid_mode), (None, None, None, None));
            assert_eq!((host.cap_drop.unwrap(), host.readonly_rootfs), (vec!["ALL".to_owned()], Some(true)));
            assert_eq!(host.cap_add, powers.map(|power| vec![power.to_owned()]), "{helper:?}");
            assert_eq!(host.network_mode.as_deref(), Some(network));
            assert!(host.memory.unwrap() > 0 && host.pids_limit.unwrap() > 0 && host.log_config.is_some());
            let mounts = host.mounts.unwrap_or_default();
            assert!(mounts.iter().all(|mount| mount.typ == Some(MountType::VOLUME)), "{mounts:?}");
        }
    }

    #[test]
    fn nobody_takes_a_helper_for_one_of_the_project() {
        let helper = Helper::command("ab", &command(Seat::On(networks())));
        let image = [("com.docker.compose.project", "shop"), ("com.docker.compose.service", "web"), ("version", "7")];
        let body = made(&helper, &image);
        let labels = body.labels.unwrap();
        assert_eq!(labels["com.docker.compose.project"], "", "an image that compose built would bring it along");
        assert_eq!(labels["com.docker.compose.service"], "");
        assert_eq!((&*labels[names::FAULT], &*labels[names::PROJECT], &*labels[names::EPOCH]), ("ab", "shop", "3"));
        assert_eq!((&*labels[names::SUBJECT], &*labels[names::ROLE]), ("default/shop", "client"));
        assert!(!labels.contains_key(names::SESSION), "no sweep of sessions takes it for one's");
        assert_eq!((helper.name.as_str(), helper.further_networks().len()), ("client-ab", 1));
        assert_eq!(body.entrypoint.unwrap(), ["redis-cli", "ping"]);
    }

    #[test]
    fn what_takes_back_has_a_name_of_its_own() {
        let helper = Helper::job("ab", Stands::In("c1".into()), &Job::Heal, Duration::from_mins(1));
        assert_eq!(helper.name, "operator-fault-ab");
        assert_eq!(helper.undoing().name, "operator-fault-ab-undo");
    }
}
