//! The file that tells the role: always whole, as it is replaced at once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tokio::sync::watch;

use super::role::PodRole;

/// A file that is replaced with each change of the role.
#[derive(Clone, Debug)]
pub struct RoleFile {
    path: PathBuf,
    part: PathBuf,
}

impl RoleFile {
    /// The file at `path`. It is written first beside it, under its name with `.part`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let mut part = OsString::from(path);
        part.push(".part");
        Self { path: path.to_owned(), part: part.into() }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write(&self, role: &PodRole) -> io::Result<()> {
        fs::write(&self.part, role.json() + "\n")?;
        fs::rename(&self.part, &self.path)
    }

    /// Writes each role until the last one was told. A file that cannot be written convicts itself:
    /// its last moment passes.
    pub async fn keep(self, mut roles: watch::Receiver<PodRole>) {
        while roles.changed().await.is_ok() {
            let (file, role) = (self.clone(), roles.borrow_and_update().clone());
            // A file system may hang, and the election must not.
            let written = tokio::task::spawn_blocking(move || file.write(&role)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(file = %self.path.display(), %error, "cannot write the role file");
            }
        }
    }
}
