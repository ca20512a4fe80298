//! The run directory: made before the load starts, so that evidence that cannot be written is an
//! error at second zero; appended to as the run goes.

use std::path::{Path, PathBuf};

/// Why evidence cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The folder holds something, perhaps another run.
    #[error("{} is not empty: choose another --out, or remove what is in it", .0.display())]
    Occupied(PathBuf),
    /// The system refused.
    #[error("cannot write {}: {error}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Makes the run directory: `out` as given, else `reports/<name>-<time>` under the working folder,
/// and keeps the scenario's text in it.
///
/// # Errors
/// If it is not empty or cannot be written.
pub fn create(
    out: Option<&Path>,
    name: &str,
    wall_clock: &str,
    scenario: &str,
) -> Result<PathBuf, DirectoryError> {
    let dir = match out {
        Some(dir) => dir.to_owned(),
        None => unused(Path::new("reports"), name, wall_clock),
    };
    let failed = |path: &Path| {
        let path = path.to_owned();
        |error| DirectoryError::Io { path, error }
    };
    std::fs::create_dir_all(&dir).map_err(failed(&dir))?;
    let mut entries = std::fs::read_dir(&dir).map_err(failed(&dir))?;
    if entries.next().is_some() {
        return Err(DirectoryError::Occupied(dir));
    }
    let path = dir.join("scenario.yaml");
    std::fs::write(&path, scenario).map_err(failed(&path))?;
    Ok(dir)
}

/// Removes the directory of a run that never began: it holds no evidence, and the next try wants
/// its name. What cannot be removed stays; nothing depends on it.
pub fn withdraw(dir: &Path) {
    let _ = std::fs::remove_dir_all(dir);
}

/// `reports/<name>-<time>`, with a number behind it if two runs start within one second.
fn unused(parent: &Path, name: &str, wall_clock: &str) -> PathBuf {
    let time: String = wall_clock
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == 'T')
        .collect();
    let mut candidate = parent.join(format!("{name}-{time}"));
    let mut number = 2;
    while candidate.exists() {
        candidate = parent.join(format!("{name}-{time}-{number}"));
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_once_and_never_overwritten() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let out = parent.path().join("run");
        let dir =
            create(Some(&out), "x", "2026-01-02T03:04:05Z", "name: x").expect("an empty folder");
        assert_eq!(
            std::fs::read_to_string(dir.join("scenario.yaml")).expect("written"),
            "name: x"
        );
        assert!(matches!(
            create(Some(&out), "x", "", ""),
            Err(DirectoryError::Occupied(_))
        ));
        let file = parent.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert!(matches!(
            create(Some(&file.join("run")), "x", "", ""),
            Err(DirectoryError::Io { .. })
        ));
    }

    #[test]
    fn default_names_carry_the_time_and_do_not_collide() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let first = unused(parent.path(), "quickstart", "2026-01-02T03:04:05Z");
        assert!(first.ends_with("quickstart-20260102T030405"));
        std::fs::create_dir(&first).expect("made");
        assert!(
            unused(parent.path(), "quickstart", "2026-01-02T03:04:05Z")
                .ends_with("quickstart-20260102T030405-2")
        );
    }
}
