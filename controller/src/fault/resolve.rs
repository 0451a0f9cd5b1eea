//! Which container a target means.

use crds::fault::Target;
use kube::core::cel::cel::{Program, Value};

use super::view::{ContainerView, ProjectView, State};
use super::{Mistake, Resolved};
use crate::cel;

/// A target that was found, and what it was chosen with if that was chance.
pub(super) struct Found<'a> {
    pub(super) container: &'a ContainerView,
    pub(super) seed: Option<u64>,
}

/// The container that is meant.
pub(super) fn resolve<'a>(
    target: &Target,
    project: &'a ProjectView,
    probes: &Value,
    seed: u64,
) -> Result<Found<'a>, Mistake> {
    check(target)?;
    let (service, seed) = match (&target.service, &target.cel, &target.any_of) {
        (Some(service), ..) => (service.clone(), None),
        (_, Some(expression), _) => (named(expression, probes)?, None),
        (_, _, Some(services)) => (choose(services, seed)?, Some(seed)),
        (None, None, None) => return Err(missing()),
    };
    Ok(Found { container: first(&service, project)?, seed })
}

/// Whether a target can mean anything.
pub(super) fn check(target: &Target) -> Result<(), Mistake> {
    let set = [target.service.is_some(), target.cel.is_some(), target.any_of.is_some()];
    if set.into_iter().filter(|set| *set).count() != 1 {
        return Err(missing());
    }
    if target.any_of.as_ref().is_some_and(Vec::is_empty) {
        return Err(Mistake("anyOf names no service to choose from".into()));
    }
    target.cel.as_deref().map_or(Ok(()), |expression| compile(expression).map(|_| ()))
}

fn missing() -> Mistake {
    Mistake("say which container is meant: exactly one of service, cel and anyOf".into())
}

fn compile(expression: &str) -> Result<Program, Mistake> {
    let wrong = |why: String| Mistake(format!("the target's cel is wrong: {why}"));
    let program = cel::compile(expression).map_err(wrong)?;
    match cel::variables(&program).into_iter().find(|name| name != "probes") {
        Some(other) => Err(wrong(format!("nobody knows {other:?} here: it names a service by probes alone"))),
        None => Ok(program),
    }
}

/// The service that an expression names.
fn named(expression: &str, probes: &Value) -> Result<String, Mistake> {
    let mut context = cel::context();
    context.add_variable_from_value("probes", probes.clone());
    match cel::evaluate(&compile(expression)?, &context) {
        Ok(Value::String(service)) if !service.is_empty() => Ok(service.to_string()),
        Ok(other) => Err(Mistake(format!(
            "the target's cel gives {}, which is no name of a service: is what it reads there yet?",
            crate::printable::short_line(&cel::to_json(&other).to_string(), 100)
        ))),
        Err(why) => Err(Mistake(format!("the target's cel cannot be judged now: {why}"))),
    }
}

/// One of these, the same for the same seed in every build.
fn choose(services: &[String], seed: u64) -> Result<String, Mistake> {
    // The last step of SplitMix64: seeds that are close to each other choose differently all the same.
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let count = u64::try_from(services.len()).unwrap_or(u64::MAX).max(1);
    let place = usize::try_from(mixed % count).unwrap_or(0);
    services.get(place).cloned().ok_or_else(|| Mistake("anyOf names no service to choose from".into()))
}

/// The first container of a service: while one is replaced there are two of its number, and what runs counts.
fn first<'a>(service: &str, project: &'a ProjectView) -> Result<&'a ContainerView, Mistake> {
    let of_service = project.containers.iter().filter(|container| container.service == service);
    let found = of_service.min_by_key(|container| (container.number, container.state == State::Stopped));
    found.ok_or_else(|| {
        let mut services: Vec<&str> = project.containers.iter().map(|container| container.service.as_str()).collect();
        services.sort_unstable();
        services.dedup();
        let there = if services.is_empty() { "it has no container at all".into() } else { services.join(", ") };
        Mistake(format!("the project {} has no container of the service {service:?}: {there}", project.project))
    })
}

/// A container as a plan has it.
pub(super) fn resolved(container: &ContainerView) -> Resolved {
    Resolved {
        service: container.service.clone(),
        id: container.id.clone(),
        name: container.name.clone(),
        state: container.state,
        started_at: container.started_at.clone(),
    }
}
