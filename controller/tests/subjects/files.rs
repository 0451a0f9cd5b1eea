//! Where the subjects are.

use std::fs;
use std::path::PathBuf;

use crds::Subject;

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Subject of the project that is watched, with its path.
pub(crate) fn all() -> Vec<(String, Subject)> {
    let folders = fs::read_dir(root().join("subjects")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = folders.chain([root().join("examples/postgres")]).collect();
    paths.sort();
    let read = |path: PathBuf| (path.display().to_string(), read(&path));
    paths.into_iter().map(|folder| folder.join("subject.yaml")).filter(|path| path.exists()).map(read).collect()
}

/// The Subject of a folder of `subjects/`.
pub(crate) fn subject(name: &str) -> Subject {
    read(&root().join("subjects").join(name).join("subject.yaml"))
}

/// Its name.
pub(crate) fn subject_name(name: &str) -> String {
    subject(name).metadata.name.unwrap_or_default()
}

fn read(path: &PathBuf) -> Subject {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
