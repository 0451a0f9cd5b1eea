//! The Subject in a file.

use crds::Subject;
use kube::CustomResourceExt as _;
use serde_json::Value;

/// A field of which nothing is known: the API server would drop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// The place: `spec.invariants[0].grase`.
    pub path: String,
    /// What there is instead.
    pub known: Vec<String>,
}

/// Reads the Subject called `name`, or the only one, from YAML or JSON of one or more documents.
///
/// # Errors
/// A sentence: what is wrong and, as far as the reader knows, in which line.
pub fn read(text: &str, name: Option<&str>) -> Result<(Subject, Vec<UnknownField>), String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| format!("it is no YAML: {error}"))?;
    let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    let field = |document: &Value, pointer: &str| {
        document.pointer(pointer).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
    };
    let is_subject = |document: &&Value| field(document, "/kind") == "Subject";
    let subjects: Vec<&Value> = documents.iter().filter(is_subject).collect();
    let names: Vec<String> = subjects.iter().map(|one| field(one, "/metadata/name")).collect();
    let wanted: Vec<&Value> =
        subjects.iter().copied().filter(|one| name.is_none_or(|name| field(one, "/metadata/name") == name)).collect();
    let document = match (wanted.as_slice(), name) {
        ([one], _) => *one,
        ([], Some(name)) if !names.is_empty() => {
            return Err(format!("there is no Subject {name:?} in it; there are: {}", names.join(", ")));
        }
        ([], _) => {
            let kinds: Vec<String> = documents.iter().map(|one| field(one, "/kind")).collect();
            let kinds = if kinds.is_empty() { "nothing".into() } else { kinds.join(", ") };
            return Err(format!("there is no Subject in it (kind: Subject), but {kinds}"));
        }
        (several, _) => {
            return Err(format!(
                "there are {} Subjects in it; say which with --name: {}",
                several.len(),
                names.join(", ")
            ));
        }
    };
    let version = field(document, "/apiVersion");
    let expected = format!("{}/{}", crds::GROUP, crds::VERSION);
    if version != expected {
        return Err(format!("its apiVersion is {version:?}, and this program knows {expected:?}"));
    }
    // Of a single document the reader knows the lines.
    let subject = if documents.len() == 1 {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?
    } else {
        serde_json::from_value(document.clone()).map_err(|error| error.to_string())?
    };
    Ok((subject, unknown_fields(document)))
}

fn unknown_fields(document: &Value) -> Vec<UnknownField> {
    let definition = serde_json::to_value(Subject::crd()).unwrap_or_default();
    let mut unknown = Vec::new();
    if let (Some(schema), Some(spec)) =
        (definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec"), document.get("spec"))
    {
        walk(spec, schema, "spec", &mut unknown);
    }
    unknown
}

fn walk(value: &Value, schema: &Value, path: &str, unknown: &mut Vec<UnknownField>) {
    match value {
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in items.iter().enumerate() {
                walk(item, schema, &format!("{path}[{index}]"), unknown);
            }
        }
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = schema.get("properties") {
                for (name, field) in fields {
                    let path = format!("{path}.{name}");
                    match properties.get(name) {
                        Some(schema) => walk(field, schema, &path, unknown),
                        None => unknown.push(UnknownField { path, known: properties.keys().cloned().collect() }),
                    }
                }
            } else if let Some(schema) = schema.get("additionalProperties") {
                for (name, field) in fields {
                    walk(field, schema, &format!("{path}.{name}"), unknown);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {name: shop}\n";

    #[test]
    fn a_subject_is_found_among_other_documents() {
        let shop = format!("{HEAD}spec: {{where: {{docker: {{project: shop}}}}}}\n");
        assert_eq!(read(&shop, None).unwrap().0.metadata.name.as_deref(), Some("shop"));
        let among = format!("kind: ConfigMap\n---\n{shop}---\n{}", shop.replace("name: shop", "name: bank"));
        assert_eq!(read(&among, Some("bank")).unwrap().0.metadata.name.as_deref(), Some("bank"));
        assert_eq!(read(&among, None).unwrap_err(), "there are 2 Subjects in it; say which with --name: shop, bank");
        assert_eq!(read(&among, Some("x")).unwrap_err(), "there is no Subject \"x\" in it; there are: shop, bank");
        let none = read("kind: Incident\n", None).unwrap_err();
        assert_eq!(none, "there is no Subject in it (kind: Subject), but Incident");
        assert!(read("", None).unwrap_err().ends_with("but nothing"));
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        assert!(read("a: [", None).unwrap_err().starts_with("it is no YAML: "));
        let old = read(&HEAD.replace("v1alpha1", "v1"), None).unwrap_err();
        assert_eq!(old, "its apiVersion is \"operator.dev/v1\", and this program knows \"operator.dev/v1alpha1\"");
        let wrong = format!("{HEAD}spec:\n  where: {{docker: {{project: shop}}}}\n  suspend: perhaps\n");
        let said = read(&wrong, None).unwrap_err();
        assert!(said.contains("line 6"), "{said}");
    }

    #[test]
    fn fields_that_nobody_knows_are_named() {
        let text = format!(
            "{HEAD}spec:\n  where: {{docker: {{project: shop}}}}\n  probes: [{{name: web, http: {{url: 'http://web/', headers: {{a: b}}}}, intervall: 1s}}]\n  \
             invariants: [{{name: a, violated: '!probes.web.ok', grase: 1s, over: {{x: {{value: '1', window: 9s, of: 2}}}}}}]\n"
        );
        let (_, unknown) = read(&text, None).unwrap();
        let paths: Vec<&str> = unknown.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["spec.probes[0].intervall", "spec.invariants[0].grase", "spec.invariants[0].over.x.of"]);
        assert!(unknown[1].known.iter().any(|name| name == "grace"), "{:?}", unknown[1]);
    }
}
