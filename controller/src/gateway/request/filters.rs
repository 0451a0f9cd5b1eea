//! The filters of lists: a map in JSON in a parameter, in the two forms that clients have written.

use super::json::Json;
use super::query::Query;
use super::{Filters, shortened};
use crate::gateway::refusal::Refusal;

/// For `GET /containers/json`. Not `before` and `since`: whether they fail tells of containers beyond the
/// subject.
pub(super) const CONTAINERS: &[&str] =
    &["ancestor", "exited", "expose", "health", "id", "label", "name", "network", "publish", "status", "volume"];
/// For `GET /events`.
pub(super) const EVENTS: &[&str] = &["action", "container", "event", "image", "label", "network", "type", "volume"];
/// For `GET /networks`.
pub(super) const NETWORKS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];
/// For `GET /volumes`.
pub(super) const VOLUMES: &[&str] = &["dangling", "driver", "label", "name"];
/// For `GET /images/json`. Not `before` and `since`, as with containers.
pub(super) const IMAGES: &[&str] = &["dangling", "label", "reference"];

/// Nobody narrows a list by more values of one kind.
const MOST_VALUES: usize = 128;
const LONGEST_VALUE: usize = 1024;

/// Reads the parameter `filters`, of which only `names` are known.
pub(super) fn read(query: &mut Query, names: &[&str]) -> Result<Filters, Refusal> {
    let Some(text) = query.text("filters") else { return Ok(Filters::new()) };
    let wrong = || Refusal::bad("the parameter \"filters\" must be a JSON object such as {\"name\":[\"redis\"]}");
    let Ok(Json::Object(fields)) = serde_json::from_str(&text) else { return Err(wrong()) };
    let mut filters = Filters::new();
    for (name, values) in fields {
        if !names.contains(&name.as_str()) {
            return Err(Refusal::forbidden(format!(
                "the filter {:?} is not known to this gateway for this list: use one of {}",
                shortened(&name),
                names.join(", ")
            )));
        }
        let values = match values {
            Json::List(items) => items.into_iter().map(text_of).collect::<Option<Vec<_>>>(),
            Json::Object(entries) => {
                entries.into_iter().map(|(value, chosen)| (chosen == Json::Flag(true)).then_some(value)).collect()
            }
            _ => None,
        };
        let values = values.ok_or_else(wrong)?;
        let sound = |value: &String| value.len() <= LONGEST_VALUE && !value.chars().any(char::is_control);
        if values.len() > MOST_VALUES || !values.iter().all(sound) {
            return Err(Refusal::bad(format!(
                "the filter {name:?} has more than {MOST_VALUES} values, or one that is longer than {LONGEST_VALUE} \
                 bytes or has control characters"
            )));
        }
        if !values.is_empty() {
            filters.insert(name, values);
        }
    }
    Ok(filters)
}

fn text_of(json: Json) -> Option<String> {
    if let Json::Text(text) = json { Some(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(json: &str) -> Result<Filters, Refusal> {
        let hex: Vec<String> = json.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let hex = hex.concat();
        read(&mut Query::of(Some(&format!("filters={hex}")))?, CONTAINERS)
    }

    #[test]
    fn both_historic_forms_say_the_same() {
        let list = filters(r#"{"label":["a=b","c"],"name":[]}"#);
        assert_eq!(list, filters(r#"{"label":{"a=b":true,"c":true}}"#));
        assert_eq!(list, Ok(Filters::from([("label".into(), vec!["a=b".into(), "c".into()])])));
        assert_eq!(filters("{}"), Ok(Filters::new()));
        assert_eq!(filters(""), Ok(Filters::new()));
    }

    #[test]
    fn what_is_not_a_known_filter_is_refused() {
        let many = format!("{{\"name\":[{}\"\"]}}", "\"a\",".repeat(200));
        let long = format!("{{\"name\":[\"{}\"]}}", "a".repeat(2000));
        for json in [
            r#"{"before":["x"]}"#,
            r#"{"is-task":["true"]}"#,
            r#"{"Label":["x"]}"#,
            r#"{"name":"x"}"#,
            r#"{"name":[1]}"#,
            r#"{"name":{"x":false}}"#,
            r#"{"name":{"x":1}}"#,
            r#"{"name":["a"],"name":["b"]}"#,
            "[]",
            "null",
            "{",
            r#"{"name":["\u0000"]}"#,
            r#"{"name":["a\nb"]}"#,
            &many,
            &long,
        ] {
            assert!(filters(json).is_err(), "{json}");
        }
    }
}
