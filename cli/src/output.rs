//! Files that appear whole or not at all, and folders that are touched only where they are ours.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::{CliError, Code, Failure};

/// Reads the path of a file to write, so that one that cannot be is refused before the work is done.
pub(crate) fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let folder = folder_of(&path);
    if text == "-" {
        return Err("it would be a file of that name: give a path, or `./-`".to_owned());
    }
    if path.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if path.is_symlink() && !path.exists() {
        return Err("it is a link that leads nowhere".to_owned());
    }
    if !folder.is_dir() {
        return Err(format!("there is no folder `{}`", folder.display()));
    }
    Ok(path)
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes `contents` to `path` in one step: a reader sees the old file or the new one.
///
/// What a link leads to is replaced, and not the link; a FIFO or a device, such as `/dev/stdout`, gets the bytes.
pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), Failure> {
    let fault = |error| Failure::write(path, error);
    match Place::of(path).map_err(fault)? {
        Place::File(place) => {
            let file = beside(&place, contents.as_ref()).map_err(fault)?;
            file.persist(&place).map_err(|error| fault(error.error))?;
        }
        Place::Stream => {
            let mut stream = fs::OpenOptions::new()
                .write(true)
                .open(path)
                .map_err(fault)?;
            stream.write_all(contents.as_ref()).map_err(fault)?;
        }
    }
    Ok(())
}

/// Finds out whether `path` can be written before there is anything to write.
pub(crate) fn probe(path: &Path) -> Result<(), Failure> {
    let fault = |error| Failure::write(path, error);
    if let Place::File(place) = Place::of(path).map_err(fault)? {
        // A full disk takes an empty file.
        beside(&place, &[0; 4096]).map_err(fault)?;
    }
    Ok(())
}

/// What a path to write to leads to.
enum Place {
    /// A regular file, or none yet.
    File(PathBuf),
    /// A FIFO, a device or a socket, which a rename would put a regular file in the place of.
    Stream,
}

impl Place {
    fn of(path: &Path) -> io::Result<Place> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if found.is_file() => Ok(Place::File(fs::canonicalize(path)?)),
            Ok(_) => Ok(Place::Stream),
            // A link that leads nowhere stays what it is.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
                Ok(Place::File(path.to_owned()))
            }
            Err(error) => Err(error),
        }
    }
}

/// A temporary file with `contents` in the folder of `path`.
fn beside(path: &Path, contents: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    // Temporary files are private; what the user asked for has the rights that the user gives to new files.
    let mut file = tempfile::Builder::new()
        .prefix(".tilewright-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder_of(path))?;
    file.write_all(contents)?;
    Ok(file)
}

/// Creates the folder `path` and those above it.
pub(crate) fn folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::write(path, error))
}

/// Writes the files of `command` to `folder`, and takes away those that it wrote there before and not now.
pub(crate) fn fill(
    folder: &Path,
    command: &str,
    files: &[(String, String)],
) -> Result<(), Failure> {
    self::folder(folder)?;
    let names: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let present: BTreeSet<String> =
        names_in(folder).map_err(|error| Failure::write(folder, error))?;
    let before = &ours(folder, command) & &present;
    // Whoever is stopped half-way finds a folder that is still known as ours.
    let manifest_path = folder.join(MANIFEST);
    let either = &before | &names;
    write(
        &manifest_path,
        manifest(command, either.iter().map(String::as_str)),
    )?;
    for (name, contents) in files {
        write(&folder.join(name), contents)?;
    }
    for stale in &before - &names {
        let path = folder.join(stale);
        fs::remove_file(&path).map_err(|error| Failure::write(&path, error))?;
    }
    write(
        &manifest_path,
        manifest(command, names.iter().map(String::as_str)),
    )
}

/// The file by which a folder of results is known as ours: the command that wrote it, and what it wrote.
pub(crate) const MANIFEST: &str = ".tilewright";

/// The text of [`MANIFEST`] in a folder into which `command` writes `names`.
pub(crate) fn manifest<'a>(command: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let mut text = header(command) + "\n";
    for name in names {
        text += &format!("{name}\n");
    }
    text
}

fn header(command: &str) -> String {
    format!("written by `tilewright {command}`, which may replace these files:")
}

/// The names that the manifest of `folder` says `command` wrote.
fn ours(folder: &Path, command: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(folder.join(MANIFEST)).unwrap_or_default();
    let names = manifest.strip_prefix(&header(command));
    names
        .into_iter()
        .flat_map(str::lines)
        .map(str::to_owned)
        .filter(|name| !name.is_empty())
        .collect()
}

fn names_in(folder: &Path) -> io::Result<BTreeSet<String>> {
    let name =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    fs::read_dir(folder)?.map(name).collect()
}

/// Refuses a folder that holds anything that `command` did not write, before any work is done for it.
pub(crate) fn claim(folder: &Path, command: &'static str, force: bool) -> Result<(), Failure> {
    let strangers = match strangers(folder, command) {
        Ok(strangers) => strangers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::write(folder, error)),
    };
    let Some(first) = strangers.first().filter(|_| !force) else {
        return Ok(());
    };
    let others = match strangers.len() - 1 {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let error = CliError::Foreign {
        folder: folder.to_owned(),
        what: format!("`{first}`{others}"),
        command,
    };
    Err(Failure::new(Code::Usage, error))
}

/// Names in `folder` that `command` did not write, in their order.
fn strangers(folder: &Path, command: &str) -> io::Result<BTreeSet<String>> {
    let mut ours = ours(folder, command);
    if !ours.is_empty() {
        ours.insert(MANIFEST.to_owned());
    }
    Ok(&names_in(folder)? - &ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_empty_and_own_folders_are_claimed() {
        let root = tempfile::tempdir().expect("there is room");
        let folder = root.path().join("out");
        let refused = |command| {
            let error = claim(&folder, command, false).err()?;
            assert_eq!(error.code, Code::Usage);
            assert!(claim(&folder, command, true).is_ok());
            Some(error.report.to_string())
        };
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("there is room");
        };
        assert_eq!(refused("generate"), None);
        fs::create_dir(&folder).expect("there is room");
        assert_eq!(refused("generate"), None);
        write("a.sv", "");
        write(MANIFEST, &manifest("generate", ["a.sv", "b.sv"]));
        assert_eq!(refused("generate"), None);
        // What another command wrote is not this one's to replace.
        let text = refused("build").expect("it is refused");
        assert!(text.contains("`.tilewright` and 1 more"), "{text}");
        write("notes.txt", "mine");
        let text = refused("generate").expect("it is refused");
        assert!(text.contains("`notes.txt`,"), "{text}");
        fs::remove_file(folder.join("notes.txt")).expect("it is there");
        // What was written before and is not written now goes.
        let files = [("b.sv".to_owned(), "new".to_owned())];
        fill(&folder, "generate", &files).expect("there is room");
        let names = names_in(&folder).expect("it is there");
        assert_eq!(Vec::from_iter(&names), [MANIFEST, "b.sv"]);
        assert_eq!(refused("generate"), None);
        // A file is no folder, by force or without.
        let file = folder.join("b.sv");
        assert!(claim(&file, "generate", true).is_err());
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the standard library cannot make a FIFO"
    )]
    fn a_link_stays_a_link_and_a_fifo_a_fifo() {
        let root = tempfile::tempdir().expect("there is room");
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("elsewhere")).expect("there is room");
        fs::write(at("elsewhere/target"), "old").expect("there is room");
        std::os::unix::fs::symlink("elsewhere/target", at("link")).expect("there is room");
        std::os::unix::fs::symlink("nowhere", at("broken")).expect("there is room");
        let mkfifo = std::process::Command::new("mkfifo")
            .arg(at("fifo"))
            .status();
        assert!(mkfifo.expect("coreutils are installed").success());

        write(&at("link"), "new").expect("its target is a file");
        assert!(at("link").is_symlink());
        let text = fs::read_to_string(at("elsewhere/target")).expect("it is a file");
        assert_eq!(text, "new");
        // Nothing is left beside it.
        assert_eq!(names_in(&at("elsewhere")).expect("a folder").len(), 1);

        probe(&at("fifo")).expect("a FIFO can be written, once it has a reader");
        let reader = std::thread::spawn({
            let path = at("fifo");
            move || fs::read_to_string(path)
        });
        write(&at("fifo"), "through").expect("it has a reader");
        let read = reader.join().expect("reading does not panic");
        assert_eq!(read.expect("it can be read"), "through");
        assert!(!at("fifo").is_file());

        for command in [probe, |path: &Path| write(path, "new")] {
            let error = command(&at("broken")).expect_err("the link leads nowhere");
            assert_eq!(error.code, Code::Resource);
            assert!(at("broken").is_symlink() && !at("nowhere").exists());
        }
    }
}
