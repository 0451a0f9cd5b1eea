//! What is masked besides the built-in rules.

pub use audit_client::redact::config::{RedactionConfig, RedactionPattern, ValueSource};

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn is_read_and_a_wrong_name_has_its_line() {
        let yaml = "redaction:\n  patterns:\n  - {name: badge, regex: 'B-[0-9]{6}'}\n  values: [hunter2hunter2]\n  valuesFrom:\n  - env: HOME\n";
        let redaction = Config::parse(yaml).unwrap().redaction;
        assert_eq!(redaction.patterns[0].name, "badge");
        assert_eq!(redaction.read_values().unwrap().len(), 2);
        assert!(!format!("{redaction:?}").contains("hunter2"));
        let error = Config::parse("redaction:\n  patterns:\n  - {name: 'A b', regex: x}\n").unwrap_err();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_folder_is_a_mounted_secret() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        std::fs::write(folder.path().join("password"), "correct horse\n").unwrap();
        let yaml = format!("redaction: {{valuesFrom: [{{path: {}}}]}}", folder.path().display());
        let values = Config::parse(&yaml).unwrap().redaction.read_values().unwrap();
        assert_eq!(values.len(), 1);
        assert_eq!(values[0].1, "correct horse\n");
        let gone = Config::parse("redaction: {valuesFrom: [{path: /not/there}]}").unwrap().redaction;
        assert!(gone.read_values().unwrap_err().to_string().contains("/not/there"));
    }
}
