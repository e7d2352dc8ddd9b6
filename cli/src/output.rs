//! Files that appear whole or not at all.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::failure::Failure;

/// Writes `contents` to `path` in one step: a reader sees the old file or the new one.
pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let fault = |error| Failure::write(path, error);
    let mut file = tempfile::Builder::new()
        .prefix(".tilewright-")
        .tempfile_in(folder)
        .map_err(fault)?;
    file.write_all(contents.as_ref()).map_err(fault)?;
    set_mode(file.as_file()).map_err(fault)?;
    file.persist(path).map_err(|error| fault(error.error))?;
    Ok(())
}

/// Temporary files are private; what the user asked for is readable like any other file of theirs.
fn set_mode(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// Creates the folder `path` and those above it.
pub(crate) fn folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::write(path, error))
}
