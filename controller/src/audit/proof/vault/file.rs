//! The key in a file of mode 0600, with the next one beside it for the moment of a rotation.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Held, Vault, VaultError};
use crate::audit::proof::key::PrivateKey;
use crate::audit::proof::signer::{next_path, read_key};

/// A file.
#[derive(Clone, Debug)]
pub struct FileVault {
    path: PathBuf,
}

impl FileVault {
    /// The file at `path`; its folder has to be there.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

#[async_trait]
impl Vault for FileVault {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    async fn load(&self) -> Result<Held, VaultError> {
        let current = read_key(&self.path).map_err(VaultError)?;
        let next = read_key(&next_path(&self.path)).map_err(VaultError)?;
        Ok(Held { current, next })
    }

    async fn create(&self, key: &PrivateKey) -> Result<(), VaultError> {
        write_new(&self.path, key)
    }

    async fn put_next(&self, key: &PrivateKey) -> Result<(), VaultError> {
        let next = next_path(&self.path);
        if let Err(error) = std::fs::remove_file(&next)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(VaultError(format!("{} cannot be replaced: {error}", next.display())));
        }
        write_new(&next, key)
    }

    async fn promote(&self) -> Result<(), VaultError> {
        let next = next_path(&self.path);
        std::fs::rename(&next, &self.path).map_err(|error| {
            VaultError(format!("{} cannot take the place of {}: {error}", next.display(), self.path.display()))
        })?;
        sync_folder(&self.path)
    }
}

/// On disk when it returns, or not there.
fn write_new(path: &Path, key: &PrivateKey) -> Result<(), VaultError> {
    let failed =
        |error: std::io::Error| VaultError(format!("the signing key {} cannot be written: {error}", path.display()));
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{:08x}", rand::random::<u32>()));
    let unfinished = PathBuf::from(unfinished);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).and_then(|mut file| {
        file.write_all(key.to_pem().as_bytes())?;
        file.sync_all()
    });
    // A link fails where a file is already, which a rename would replace.
    let placed = written.and_then(|()| std::fs::hard_link(&unfinished, path));
    let _ = std::fs::remove_file(&unfinished);
    placed.map_err(failed)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> Result<(), VaultError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| VaultError(format!("the folder {} cannot be written to disk: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let vault = FileVault::new(path.clone());
        assert!(vault.load().await.unwrap().current.is_none());
        let (first, second) = (PrivateKey::generate(), PrivateKey::generate());
        vault.create(&first).await.unwrap();
        assert!(vault.create(&second).await.is_err());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(vault.load().await.unwrap().current.unwrap().id(), first.id());

        vault.put_next(&first).await.unwrap();
        vault.put_next(&second).await.unwrap();
        let held = vault.load().await.unwrap();
        assert_eq!((held.current.unwrap().id(), held.next.unwrap().id()), (first.id(), second.id()));
        vault.promote().await.unwrap();
        let held = vault.load().await.unwrap();
        assert_eq!(held.current.unwrap().id(), second.id());
        assert!(held.next.is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left lying about");
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_named() {
        let error =
            FileVault::new("/nonexistent/signing.key".into()).create(&PrivateKey::generate()).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/signing.key"), "{error}");
    }
}
