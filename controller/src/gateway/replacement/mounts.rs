//! What a replacement mounts: the volumes of what it replaces, no more writable than there.

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig, MountPoint, MountType};

use super::{Project, Refusal};

pub(super) fn check(
    body: &ContainerCreateBody,
    host: &HostConfig,
    template: &ContainerInspectResponse,
    project: &Project,
) -> Result<(), Refusal> {
    let volumes: Vec<&MountPoint> =
        template.mounts.iter().flatten().filter(|mount| mount.typ.as_deref() == Some("volume")).collect();
    for bind in host.binds.iter().flatten() {
        let mut parts = bind.split(':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(path), None, _) => anonymous(path, &volumes)?,
            (Some(volume), Some(_), options) => {
                let read_only = options.is_some_and(|options| options.split(',').any(|option| option == "ro"));
                named(volume, read_only, &volumes, project)?;
            }
            _ => {}
        }
    }
    for path in body.volumes.iter().flatten() {
        anonymous(path, &volumes)?;
    }
    for mount in host.mounts.iter().flatten() {
        match (mount.typ, mount.source.as_deref()) {
            (Some(MountType::TMPFS), None) => {}
            (Some(MountType::VOLUME), None) => anonymous(mount.target.as_deref().unwrap_or_default(), &volumes)?,
            (Some(MountType::VOLUME), Some(volume)) => named(volume, mount.read_only == Some(true), &volumes, project)?,
            _ => return Err(Refusal::forbidden("only volumes and tmpfs can be mounted through this gateway")),
        }
    }
    Ok(())
}

fn named(volume: &str, read_only: bool, volumes: &[&MountPoint], project: &Project) -> Result<(), Refusal> {
    if project.bound_volumes.contains(volume) {
        return Err(Refusal::forbidden(format!(
            "the volume {volume} is a path of the host, which cannot be mounted through this gateway"
        )));
    }
    let of_template = || volumes.iter().filter(|mount| mount.name.as_deref() == Some(volume));
    if of_template().next().is_none() {
        let names: Vec<&str> = volumes.iter().filter_map(|mount| mount.name.as_deref()).collect();
        return Err(Refusal::forbidden(format!(
            "a replacement has the volumes of what it replaces: {volume} is none of them ({})",
            if names.is_empty() { "there are none".to_owned() } else { names.join(", ") }
        )));
    }
    if !read_only && !of_template().any(|mount| mount.rw == Some(true)) {
        return Err(Refusal::forbidden(format!(
            "the volume {volume} is read-only in what is replaced: mount it with :ro"
        )));
    }
    Ok(())
}

fn anonymous(path: &str, volumes: &[&MountPoint]) -> Result<(), Refusal> {
    let bare = |path: &str| path.trim_end_matches('/').to_owned();
    if volumes.iter().any(|mount| mount.destination.as_deref().map(bare) == Some(bare(path))) {
        return Ok(());
    }
    Err(Refusal::forbidden(format!("what is replaced has no volume at {path}: use --tmpfs {path} or leave it out")))
}
