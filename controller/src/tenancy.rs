//! Which namespace may name which compose projects and which agent images. Pure.
//!
//! The controller has the whole Docker engine, while whoever may apply a Subject has one namespace:
//! without a word of the person who installed Operator, each namespace could put a shell beside
//! everybody's system. So the configuration file may list tenants. Where it lists none there is one
//! tenant, which has everything; where it lists any, what is not listed is not allowed.

use std::fmt;

use serde::Deserialize;

use crate::incident::validate::Rejected;

/// Who changes what is said here, for every sentence that refuses.
const WHO: &str = "whoever installed Operator changes that (`tenants` in its configuration)";
/// How many patterns a sentence names.
const NAMED: usize = 20;

/// All tenants; none listed means that everybody may name everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Tenants(Vec<Tenant>);

/// What some namespaces may name. What one entry allows is not mixed with what another allows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenant {
    /// The namespaces.
    namespaces: Vec<NamePattern>,
    /// The compose projects that their Subjects may name.
    projects: Vec<NamePattern>,
    /// The agent's images that their Incidents may have, the installation's own included. Absent: the
    /// installation's own and those of `agent.images`.
    #[serde(default)]
    images: Option<Vec<ImagePattern>>,
}

impl Tenants {
    /// Whether a Subject of this namespace may name this compose project.
    pub fn project(&self, namespace: &str, project: &str) -> Result<(), Rejected> {
        if self.0.is_empty() || self.entries(namespace, project).next().is_some() {
            return Ok(());
        }
        let of_namespace = self.0.iter().filter(|tenant| matches(&tenant.namespaces, namespace));
        let may = list(of_namespace.flat_map(|tenant| &tenant.projects), "no compose project");
        Err(Rejected {
            reason: "ProjectNotAllowed",
            message: format!(
                "namespace {namespace:?} may not name the compose project {project:?}; it may name {may}; {WHO}"
            ),
        })
    }

    /// Whether an Incident of this namespace may have this image beside this project. `offered` is what
    /// the installation offers to everybody: its own image first, then those of `agent.images`.
    pub fn image(&self, namespace: &str, project: &str, image: &str, offered: &[String]) -> Result<(), Rejected> {
        let is_offered = offered.iter().any(|offered| offered == image);
        let allowed = |tenant: &Tenant| match &tenant.images {
            Some(patterns) => patterns.iter().any(|pattern| pattern.0.fits(image)),
            None => is_offered,
        };
        if self.0.is_empty() && is_offered || self.entries(namespace, project).any(allowed) {
            return Ok(());
        }
        let mut names: Vec<String> = Vec::new();
        let patterns = self.entries(namespace, project).flat_map(|tenant| tenant.images.iter().flatten());
        names.extend(patterns.map(ToString::to_string));
        if self.0.is_empty() || self.entries(namespace, project).any(|tenant| tenant.images.is_none()) {
            names.extend(offered.iter().cloned());
        }
        let who = if self.0.is_empty() {
            "whoever installed Operator changes that (`agent.images` in its configuration)"
        } else {
            WHO
        };
        Err(Rejected {
            reason: "ImageNotAllowed",
            message: format!(
                "the agent's image {image:?} (spec.agent.image, or the installation's own where that is absent) is not \
                 allowed beside the compose project {project:?} in namespace {namespace:?}; allowed: {}; {who}",
                list(&names, "none")
            ),
        })
    }

    fn entries<'a>(&'a self, namespace: &'a str, project: &'a str) -> impl Iterator<Item = &'a Tenant> {
        let fits = move |tenant: &&Tenant| matches(&tenant.namespaces, namespace) && matches(&tenant.projects, project);
        self.0.iter().filter(fits)
    }
}

fn matches(patterns: &[NamePattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.0.fits(name))
}

/// The first few of them in words.
fn list<T: ToString>(names: impl IntoIterator<Item = T>, none: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.len() {
        0 => none.to_owned(),
        count if count > NAMED => format!("{} and {} more", names[..NAMED].join(", "), count - NAMED),
        _ => names.join(", "),
    }
}

/// A name, or with a `*` at its end the start of one. There are no other wildcards: a rule about who
/// may touch what should be read without thinking.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    stem: String,
    open: bool,
}

impl Pattern {
    /// Reads one whose characters besides the last `*` are `allowed`.
    fn read(text: &str, allowed: impl Fn(char) -> bool, what: &str) -> Result<Self, String> {
        let (stem, open) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
        if stem.contains('*') {
            return Err(format!("pattern {text:?}: a `*` may stand at the end only"));
        }
        if stem.is_empty() && !open {
            return Err("an empty pattern fits nothing: leave it out, or write \"*\" for everything".into());
        }
        match stem.chars().find(|c| !allowed(*c)) {
            Some(wrong) => Err(format!("pattern {text:?}: {what} has no {wrong:?}, so this would fit nothing")),
            None => Ok(Self { stem: stem.to_owned(), open }),
        }
    }

    fn fits(&self, name: &str) -> bool {
        if self.open { name.starts_with(&self.stem) } else { name == self.stem }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.stem, if self.open { "*" } else { "" })
    }
}

/// A pattern for namespaces and compose projects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct NamePattern(Pattern);

impl TryFrom<String> for NamePattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        Pattern::read(&text, allowed, "the name of a namespace or compose project").map(Self)
    }
}

/// A pattern for images.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct ImagePattern(Pattern);

impl TryFrom<String> for ImagePattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@');
        Pattern::read(&text, allowed, "an image's name").map(Self)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(yaml: &str) -> Tenants {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn offered() -> Vec<String> {
        vec!["agent:1".into(), "agent:2".into()]
    }

    const TWO: &str = "
- {namespaces: [team-a, team-a-*], projects: [shop, shop-*]}
- {namespaces: [team-b], projects: [bank], images: [hard/agent*]}
- {namespaces: [team-b], projects: [toy]}
";

    #[test]
    fn without_tenants_everybody_may_name_everything() {
        for none in [Tenants::default(), tenants("[]")] {
            assert_eq!(none.project("any", "thing"), Ok(()));
            assert_eq!(none.image("any", "thing", "agent:2", &offered()), Ok(()));
            let rejected = none.image("any", "thing", "evil", &offered()).unwrap_err();
            assert!(rejected.message.contains("agent:1, agent:2; whoever"), "{}", rejected.message);
            assert!(rejected.message.contains("agent.images"), "{}", rejected.message);
        }
    }

    #[test]
    fn with_tenants_only_what_is_listed_is_allowed() {
        let two = tenants(TWO);
        for (namespace, project) in
            [("team-a", "shop"), ("team-a-x", "shop-2"), ("team-a-", "shop-"), ("team-b", "toy")]
        {
            assert_eq!(two.project(namespace, project), Ok(()), "{namespace} {project}");
        }
        for (namespace, project) in
            [("team-a", "bank"), ("team-a", "shops"), ("team-ab", "shop"), ("team-b", "shop"), ("", "shop"), ("x", "")]
        {
            let rejected = two.project(namespace, project).unwrap_err();
            assert_eq!(rejected.reason, "ProjectNotAllowed", "{namespace} {project}");
        }
    }

    #[test]
    fn a_refusal_names_what_the_namespace_may_name_and_nobody_elses() {
        let two = tenants(TWO);
        let message = two.project("team-b", "shop").unwrap_err().message;
        assert!(message.contains("it may name bank, toy; whoever installed Operator"), "{message}");
        assert!(!message.contains("shop-*"), "{message}");
        let message = two.project("stranger", "shop").unwrap_err().message;
        assert!(message.contains("no compose project"), "{message}");
    }

    #[test]
    fn images_belong_to_the_entry_that_allows_the_project() {
        let two = tenants(TWO);
        assert_eq!(two.image("team-b", "bank", "hard/agent:7", &offered()), Ok(()));
        assert_eq!(two.image("team-b", "toy", "agent:1", &offered()), Ok(()));
        assert_eq!(two.image("team-a", "shop", "agent:2", &offered()), Ok(()));
        let message = two.image("team-b", "bank", "agent:1", &offered()).unwrap_err().message;
        assert!(message.contains("allowed: hard/agent*; whoever"), "{message}");
        assert_eq!(two.image("team-b", "toy", "hard/agent:7", &offered()).unwrap_err().reason, "ImageNotAllowed");
        assert_eq!(two.image("stranger", "toy", "agent:1", &offered()).unwrap_err().reason, "ImageNotAllowed");
    }

    #[test]
    fn a_long_list_is_named_in_part() {
        let names = (0..30).map(|n| format!("p{n}"));
        assert!(list(names, "none").ends_with("p18, p19 and 10 more"));
    }
}
