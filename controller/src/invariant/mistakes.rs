//! What is wrong with a Subject's expressions, and where.

use std::fmt;

use kube::core::cel::cel::{Program, Value};

use super::names::{Reads, near, unknown_functions};
use crate::cel;

/// Something that cannot be evaluated as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The place in the Subject: `spec.invariants[3].violated (node_down)`.
    pub path: String,
    /// A sentence.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// What an expression may name.
pub(super) struct Names<'a> {
    /// The probes.
    pub(super) probes: &'a [&'a str],
    /// Variables besides `probes`.
    pub(super) variables: &'a [&'a str],
}

/// Compiles an expression and looks at all that it names.
pub(super) fn compile(source: &str, names: &Names<'_>) -> Result<(Program, Reads), String> {
    let program = cel::compile(source)?;
    let unknown: Vec<String> = cel::variables(&program)
        .into_iter()
        .filter(|name| name != "probes" && !names.variables.contains(&name.as_str()))
        .collect();
    if let Some(name) = unknown.first() {
        let known = || ["probes"].into_iter().chain(names.variables.iter().copied());
        let listed: Vec<&str> = known().collect();
        return Err(format!("there is no `{name}` here{}; there are {}", meant(name, known()), listed.join(", ")));
    }
    let reads = Reads::of(&program);
    if let Some(name) = reads.probes.iter().find(|name| !names.probes.contains(&name.as_str())) {
        let listed = if names.probes.is_empty() { "none".to_owned() } else { names.probes.join(", ") };
        return Err(format!(
            "there is no probe `{name}`{}; there are {listed}",
            meant(name, names.probes.iter().copied())
        ));
    }
    if let Some(name) = unknown_functions(&program).first() {
        return Err(format!("there is no function `{name}`"));
    }
    Ok((program, reads))
}

fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    near(name, known).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}

/// That an expression without variables gives a value of the kind that is wanted.
pub(super) fn constant(program: &Program, wanted: &str, is_wanted: impl Fn(&Value) -> bool) -> Result<(), String> {
    if !cel::variables(program).is_empty() {
        return Ok(());
    }
    match cel::evaluate(program, &cel::context())? {
        value if is_wanted(&value) => Ok(()),
        value => Err(format!("it is always {}, and not {wanted}", cel::to_json(&value))),
    }
}
