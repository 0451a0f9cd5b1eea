//! `{{target}}` in the texts of a probe, and nothing else: what looks like more is a mistake of the author.

/// The pieces of a text between its placeholders: one more than there are of these.
pub(super) fn parts(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("{{") {
        let inside = &rest[begin + 2..];
        let Some(end) = inside.find("}}") else {
            return Err("'{{' begins a placeholder, and no '}}' ends it; the only one is {{target}}".into());
        };
        let name = inside[..end].trim();
        if name != "target" {
            let name: String = name.chars().take(40).collect();
            return Err(format!("{{{{{name}}}}} is not known: the only placeholder is {{{{target}}}}"));
        }
        parts.push(&rest[..begin]);
        rest = &inside[end + 2..];
    }
    parts.push(rest);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        parts(text).map(|parts| parts.join("T"))
    }

    #[test]
    fn the_target_is_filled_in_wherever_it_stands() {
        assert_eq!(fill("http://{{target}}:80/{{ target }}").unwrap(), "http://T:80/T");
        assert_eq!(fill("{{target}}").unwrap(), "T");
        assert_eq!(fill("").unwrap(), "");
    }

    #[test]
    fn single_braces_are_text() {
        for text in [r#"up{job="api"}"#, r#"{"a":{"b":{}}}"#, "${HOME}", "}}"] {
            assert_eq!(fill(text).unwrap(), text);
        }
        assert_eq!(fill(r#"up{instance="{{target}}"}"#).unwrap(), r#"up{instance="T"}"#);
    }

    #[test]
    fn anything_else_in_two_braces_is_a_mistake() {
        let said = |text| fill(text).unwrap_err();
        assert_eq!(said("{{node}}"), "{{node}} is not known: the only placeholder is {{target}}");
        assert_eq!(said("{{ target | upper }}"), "{{target | upper}} is not known: the only placeholder is {{target}}");
        assert!(said("{{target}").contains("no '}}' ends it"));
        assert!(said("{{}}").starts_with("{{}} is not known"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}a-z ü]{0,40}") {
            let _ = parts(&text);
        }
    }
}
