//! A file that fills a folder.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};

/// Written at once.
const PIECE: usize = 1 << 20;

/// Writes a file of so many MiB, or for as long as there is room: a full disk is what is wanted.
pub(super) fn fill(file: &str, mebibytes: u64) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("{file} cannot be written: {error}");
    let mut out = File::create(file).map_err(wrong)?;
    let piece = vec![0; PIECE];
    for written in 0..mebibytes {
        match out.write_all(&piece).and_then(|()| if written % 64 == 63 { out.sync_data() } else { Ok(()) }) {
            Ok(()) => {}
            Err(error) if is_full(&error) => return Ok(format!("full after {written} MiB")),
            Err(error) => {
                let error = wrong(error);
                drop(out);
                return Err(match fs::remove_file(file) {
                    Ok(()) => error,
                    Err(left) => format!("{error}; and it is still there: {left}"),
                });
            }
        }
    }
    match out.sync_all() {
        Err(error) if !is_full(&error) => Err(wrong(error)),
        _ => Ok(format!("{mebibytes} MiB written")),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Removes it; that it has gone is fine.
pub(super) fn empty(file: &str) -> Result<String, String> {
    match fs::remove_file(file) {
        Ok(()) => Ok("removed".into()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok("gone".into()),
        Err(error) => Err(format!("{file} cannot be removed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_and_removed_and_both_can_be_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fill-1");
        let file = file.to_str().unwrap();
        for _ in 0..2 {
            assert_eq!(fill(file, 2).unwrap(), "2 MiB written");
            assert_eq!(fs::metadata(file).unwrap().len(), 2 << 20);
        }
        assert_eq!(empty(file).unwrap(), "removed");
        assert_eq!(empty(file).unwrap(), "gone");
        let error = fill("/nowhere/at/all", 1).unwrap_err();
        assert!(error.contains("/nowhere/at/all cannot be written"), "{error}");
    }

    #[test]
    fn a_full_disk_is_what_is_wanted() {
        assert_eq!(fill("/dev/full", 1).unwrap(), "full after 0 MiB");
    }
}
