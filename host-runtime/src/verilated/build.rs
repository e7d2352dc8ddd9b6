//! RTL text to shared library: Verilator, then one run of the C++ compiler, then the cache.
//!
//! A library's key is the hash of everything that goes into it: RTL text, flags, shim version and tool versions.
//! It is built in a private directory and moved into the cache in one step, so readers see all of it or nothing.
//! A lock file per key keeps two builders of one design from doing the work twice.
//! A library that is there is used without writing anything, so that the cache may be read-only;
//! where a new one cannot be kept, it is built in a temporary directory that lives as long as the result.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hw::flow::{GXX, JobDir, Limits, Tool, ToolError, ToolRun, VERILATOR, tool};
use serde::{Deserialize, Serialize};

use super::shim;

/// The files of a design for simulation.
#[derive(Clone, Debug)]
pub struct Rtl<'a> {
    /// The top module.
    pub top: &'a str,
    /// File names and texts, in the order in which Verilator reads them.
    pub files: Vec<(&'a str, &'a str)>,
}

/// How much time the C++ compiler spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimise {
    /// For few cycles on a large design.
    Quick,
    /// For many cycles.
    Full,
}

impl Optimise {
    const fn flag(self) -> &'static str {
        match self {
            Optimise::Quick => "-O1",
            Optimise::Full => "-O2",
        }
    }
}

/// A library in the cache.
#[derive(Clone, Debug)]
pub struct Built {
    /// The shared library.
    pub path: PathBuf,
    /// Hash of everything that went into it.
    pub key: String,
    /// The tool runs that made it, for the provenance of results.
    pub runs: Vec<ToolRun>,
    /// Whether it was in the cache before.
    pub cached: bool,
    /// Holds the library where the cache cannot be written.
    pub temporary: Option<Arc<JobDir>>,
}

/// Why there is no library.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum BuildError {
    /// Verilator or the C++ compiler gave none; the first lines of its log tell why.
    #[error("cannot build the verilated model of `{design}`:\n{first_lines}\nthe whole log is `{log}`", log = log.display())]
    #[diagnostic(code(rtl::build))]
    Compile {
        /// The top module.
        design: String,
        /// First lines with errors, or the first lines.
        first_lines: String,
        /// The whole log.
        log: PathBuf,
        /// What the tool returned.
        source: Box<ToolError>,
    },
    /// A tool is missing or was stopped: the machine's matter.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tool(#[from] ToolError),
    /// The cache directory cannot be used, nor a temporary one in its place.
    #[error("cannot use `{path}` for verilated models", path = path.display())]
    #[diagnostic(
        code(rtl::cache),
        help(
            "set `TILEWRIGHT_CACHE` or `TMPDIR` to a directory that can be written and has space"
        )
    )]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file name of the design that a tool could misread.
    #[error("`{name}` is not a plain file name")]
    #[diagnostic(code(rtl::file_name))]
    FileName {
        /// The name.
        name: String,
    },
}

/// The record beside a library in the cache.
#[derive(Serialize, Deserialize)]
struct Record {
    library_hash: String,
    runs: Vec<ToolRun>,
}

/// The directory for everything that can be made again: `TILEWRIGHT_CACHE`, or the user's cache directory.
pub fn cache_root() -> PathBuf {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("TILEWRIGHT_CACHE")
        .or_else(|| absolute("XDG_CACHE_HOME").map(|dir| dir.join("tilewright")))
        .or_else(|| absolute("HOME").map(|dir| dir.join(".cache/tilewright")))
        .unwrap_or_else(|| PathBuf::from("build/cache"))
}

/// The library of `rtl` from the cache of this machine, built when it is not there.
///
/// # Errors
/// [`BuildError`]; `BuildError::Tool(ToolError::Missing)` when a tool is not installed.
pub fn build(rtl: &Rtl, optimise: Optimise) -> Result<Built, BuildError> {
    build_in(&cache_root(), rtl, optimise)
}

/// As [`build`], with the cache at `cache`.
///
/// # Errors
/// As [`build`].
pub fn build_in(cache: &Path, rtl: &Rtl, optimise: Optimise) -> Result<Built, BuildError> {
    for (name, _) in &rtl.files {
        plain(name)?;
    }
    plain(rtl.top)?;
    let tools = [
        version(&VERILATOR, "--version")?,
        version(&GXX, "-dumpfullversion")?,
    ];
    let key = key(rtl, optimise, &tools);
    let store = Store::at(cache.join("verilated"))?;
    let built = |store: &Store, runs, cached, temporary| Built {
        path: store.file(&key, "so"),
        key: key.clone(),
        runs,
        cached,
        temporary,
    };
    if let Some(runs) = store.lookup(&key, "so") {
        return Ok(built(&store, runs, true, None));
    }
    let Ok(_lock) = store.open().and_then(|()| store.lock(&key)) else {
        let mut folder = job(&std::env::temp_dir(), "verilated")?;
        let store = Store::at(folder.root().to_owned())?;
        let runs = compile(&store, rtl, optimise, &tools, &key).inspect_err(|error| {
            if matches!(error, BuildError::Compile { .. }) {
                // The log that the error names is in it.
                folder.keep();
            }
        })?;
        return Ok(built(&store, runs, false, Some(Arc::new(folder))));
    };
    // Another builder may have been at it while this one waited for the lock.
    if let Some(runs) = store.lookup(&key, "so") {
        return Ok(built(&store, runs, true, None));
    }
    let runs = compile(&store, rtl, optimise, &tools, &key)?;
    Ok(built(&store, runs, false, None))
}

/// A new job; a directory that takes none cannot be used as a cache.
fn job(root: &Path, purpose: &str) -> Result<JobDir, BuildError> {
    JobDir::create(root, purpose).map_err(|error| match error {
        ToolError::Io { path, source, .. } => BuildError::Cache { path, source },
        other => other.into(),
    })
}

/// What `tool` prints about itself.
fn version(tool: &Tool, argument: &str) -> Result<String, BuildError> {
    let mut job = job(&std::env::temp_dir(), "version")?;
    let finished = tool::run(
        tool,
        &[argument],
        &mut job,
        &Limits::wall(Duration::from_secs(60)),
    )?;
    Ok(format!("{} {}", tool.name, finished.log_text()?.trim()))
}

const VERILATE: [&str; 10] = [
    "--cc",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-assert",
    "--Mdir",
    ".",
    "-Wno-fatal",
];
const COMPILE: [&str; 8] = [
    "-std=c++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-pthread",
    "-DVM_COVERAGE=0",
    "-DVM_TRACE=0",
    "-w",
];

fn key(rtl: &Rtl, optimise: Optimise, tools: &[String]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    field(&shim::ABI.to_le_bytes());
    // The shim's own text, so that a change of it needs no thought about versions.
    field(shim::text("", "", &["__Slow.cpp".to_owned()]).as_bytes());
    field(rtl.top.as_bytes());
    for (name, text) in &rtl.files {
        field(name.as_bytes());
        field(text.as_bytes());
    }
    VERILATE
        .iter()
        .chain(&COMPILE)
        .for_each(|flag| field(flag.as_bytes()));
    field(optimise.flag().as_bytes());
    tools.iter().for_each(|version| field(version.as_bytes()));
    hasher.finalize().to_hex()[..32].to_owned()
}

fn compile(
    store: &Store,
    rtl: &Rtl,
    optimise: Optimise,
    tools: &[String],
    key: &str,
) -> Result<Vec<ToolRun>, BuildError> {
    let include = store.include_dir()?;
    let runtime = store.runtime(&include, tools)?;
    let mut job = JobDir::create(&store.jobs(), "verilate")?;
    for (name, text) in &rtl.files {
        job.write(name, text)?;
    }
    let mut arguments = VERILATE.to_vec();
    arguments.extend(["--prefix", shim::PREFIX, "--top-module", rtl.top]);
    arguments.extend(rtl.files.iter().map(|(name, _)| *name));
    let limits = Limits::wall(Duration::from_secs(900));
    let verilated = store.run(rtl.top, &VERILATOR, &arguments, &mut job, &limits)?;

    let top = job.read_text(&format!("{}.h", shim::PREFIX))?;
    let root = job.read_text(&format!("{}___024root.h", shim::PREFIX))?;
    job.write("all.cpp", shim::text(&top, &root, &sources(&job)?))?;
    let mut arguments = vec![
        optimise.flag(),
        "-shared",
        "-Wl,-Bsymbolic",
        "-o",
        "model.so",
        "all.cpp",
    ];
    let paths: Vec<String> = runtime
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    arguments.extend(paths.iter().map(String::as_str));
    let include_flags = include_flags(&include);
    arguments.extend(include_flags.iter().map(String::as_str));
    arguments.extend(COMPILE);
    let compiled = store.run(rtl.top, &GXX, &arguments, &mut job, &limits)?;
    let runs = vec![verilated, compiled];
    store.insert(key, "so", &job.path("model.so"), &runs)?;
    Ok(runs)
}

/// The C++ files that Verilator wrote, in a fixed order.
fn sources(job: &JobDir) -> Result<Vec<String>, BuildError> {
    let fault = |source| BuildError::Cache {
        path: job.root().to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(job.root()).map_err(fault)? {
        let name = entry
            .map_err(fault)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name.starts_with(shim::PREFIX) && name.ends_with(".cpp") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn include_flags(include: &Path) -> [String; 3] {
    let vltstd = include.join("vltstd");
    [
        ".".to_owned(),
        include.display().to_string(),
        vltstd.display().to_string(),
    ]
    .map(|dir| format!("-I{dir}"))
}

/// A lock file, removed with the lock on it.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock ends after this, so that nobody can have it on a file that is about to go.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the open `file` is the one at `path`.
fn is_file_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
    }
}

/// The cache directory with its two kinds of files: libraries of designs, objects of Verilator's own code.
struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `root`, of which nothing has to be there.
    fn at(root: PathBuf) -> Result<Store, BuildError> {
        // The compiler runs in a directory of its own, where a relative path would mean something else.
        let root = std::path::absolute(&root).map_err(Self::fault(&root))?;
        Ok(Store { root })
    }

    /// Prepares the store for writing, and removes the locks that dead processes left.
    fn open(&self) -> Result<(), BuildError> {
        // A job that is created and dropped shows that those to come can be.
        job(&self.jobs(), "probe")?;
        let entries = fs::read_dir(&self.root).map_err(Self::fault(&self.root))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path
                .extension()
                .is_some_and(|extension| extension == "lock")
                && let Ok(file) = File::open(&path)
                && file.try_lock().is_ok()
                && is_file_at(&file, &path)
            {
                drop(Lock { path, _file: file });
            }
        }
        Ok(())
    }

    fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    fn file(&self, key: &str, extension: &str) -> PathBuf {
        self.root.join(format!("{key}.{extension}"))
    }

    fn fault(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
        let path = path.to_owned();
        |source| BuildError::Cache { path, source }
    }

    /// Holds off other builders of `key` until the lock is dropped.
    fn lock(&self, key: &str) -> Result<Lock, BuildError> {
        let path = self.file(key, "lock");
        loop {
            let file = File::create(&path).map_err(Self::fault(&path))?;
            file.lock().map_err(Self::fault(&path))?;
            // The one who held it before removed the file with the lock; then another has to be made.
            if is_file_at(&file, &path) {
                return Ok(Lock { path, _file: file });
            }
        }
    }

    /// The record of `key`, if its file is there and is what was built.
    fn lookup(&self, key: &str, extension: &str) -> Option<Vec<ToolRun>> {
        let record: Record =
            serde_json::from_slice(&fs::read(self.file(key, "json")).ok()?).ok()?;
        let bytes = fs::read(self.file(key, extension)).ok()?;
        (blake3::hash(&bytes).to_hex().as_str() == record.library_hash).then_some(record.runs)
    }

    /// Moves `built` into the cache; the record comes last and makes it valid.
    fn insert(
        &self,
        key: &str,
        extension: &str,
        built: &Path,
        runs: &[ToolRun],
    ) -> Result<(), BuildError> {
        let target = self.file(key, extension);
        let bytes = fs::read(built).map_err(Self::fault(built))?;
        fs::rename(built, &target).map_err(Self::fault(&target))?;
        let record = Record {
            library_hash: blake3::hash(&bytes).to_hex().to_string(),
            runs: runs.to_vec(),
        };
        let path = self.file(key, "json");
        let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
            file.write_all(&text)?;
            // Temporary files are private, and a cache may be shared with users who only read it.
            file.as_file()
                .set_permissions(fs::Permissions::from_mode(0o644))?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(Self::fault(&path))
    }

    /// The directory of Verilator's headers, which `verilator` itself knows.
    fn include_dir(&self) -> Result<PathBuf, BuildError> {
        let mut job = JobDir::create(&self.jobs(), "root")?;
        let arguments = ["--getenv", "VERILATOR_ROOT"];
        let finished = tool::run(
            &VERILATOR,
            &arguments,
            &mut job,
            &Limits::wall(Duration::from_secs(60)),
        )?;
        Ok(PathBuf::from(finished.log_text()?.trim()).join("include"))
    }

    /// The objects of Verilator's own code, which dominate the build of a small design unless they are kept.
    fn runtime(&self, include: &Path, tools: &[String]) -> Result<Vec<PathBuf>, BuildError> {
        let limits = Limits::wall(Duration::from_secs(900));
        let mut objects = Vec::new();
        for source in ["verilated", "verilated_threads"] {
            let mut hasher = blake3::Hasher::new();
            tools.iter().chain([&source.to_owned()]).for_each(|part| {
                hasher.update(part.as_bytes());
            });
            COMPILE.iter().for_each(|flag| {
                hasher.update(flag.as_bytes());
            });
            let key = format!("runtime-{source}-{}", &hasher.finalize().to_hex()[..16]);
            let _lock = self.lock(&key)?;
            if self.lookup(&key, "o").is_none() {
                let mut job = JobDir::create(&self.jobs(), "runtime")?;
                let path = include.join(format!("{source}.cpp")).display().to_string();
                let flags = include_flags(include);
                let mut arguments = vec!["-O2", "-c", "-o", "runtime.o", path.as_str()];
                arguments.extend(flags.iter().map(String::as_str));
                arguments.extend(COMPILE);
                let run = self.run("the runtime", &GXX, &arguments, &mut job, &limits)?;
                self.insert(&key, "o", &job.path("runtime.o"), &[run])?;
            }
            objects.push(self.file(&key, "o"));
        }
        Ok(objects)
    }

    /// Runs a tool whose failure is explained by the first errors in its log.
    fn run(
        &self,
        design: &str,
        tool: &Tool,
        arguments: &[&str],
        job: &mut JobDir,
        limits: &Limits,
    ) -> Result<ToolRun, BuildError> {
        match tool::run(tool, arguments, job, limits) {
            Ok(finished) => Ok(finished.run),
            Err(error) => {
                let ToolError::Failed { log, .. } = &error else {
                    return Err(error.into());
                };
                let log = log.clone();
                let text =
                    String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
                Err(BuildError::Compile {
                    design: design.to_owned(),
                    first_lines: first_errors(&text),
                    log,
                    source: Box::new(error),
                })
            }
        }
    }
}

/// The first eight lines from the first error on; warnings before it are rarely the reason.
fn first_errors(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines
        .iter()
        .position(|line| line.to_lowercase().contains("error"))
        .unwrap_or(0);
    let shown: Vec<&str> = lines[from..].iter().take(8).copied().collect();
    shown.join("\n")
}

fn plain(name: &str) -> Result<(), BuildError> {
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let fine = begins_well
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if fine {
        Ok(())
    } else {
        Err(BuildError::FileName {
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_before_warnings_in_the_message() {
        let log = "%Warning-WIDTH: a.sv:1\n\n%Error: a.sv:2: no such module\n   2 | foo\n";
        assert_eq!(
            first_errors(log),
            "%Error: a.sv:2: no such module\n   2 | foo"
        );
        assert_eq!(first_errors("killed\n"), "killed");
    }

    #[test]
    fn key_depends_on_every_part() {
        let rtl = Rtl {
            top: "t",
            files: vec![("a.sv", "x"), ("b.sv", "y")],
        };
        let other = Rtl {
            top: "t",
            files: vec![("a.sv", "xb"), ("b.sv", "y")],
        };
        let moved = Rtl {
            top: "t",
            files: vec![("a.s", "vx"), ("b.sv", "y")],
        };
        let tools = ["verilator 5".to_owned()];
        let keys = [
            key(&rtl, Optimise::Full, &tools),
            key(&rtl, Optimise::Quick, &tools),
            key(&other, Optimise::Full, &tools),
            key(&moved, Optimise::Full, &tools),
            key(&rtl, Optimise::Full, &[]),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key));
        }
    }

    #[test]
    fn strange_file_names_are_refused() {
        for name in ["-o.sv", "../a.sv", "a b.sv", ""] {
            assert!(plain(name).is_err(), "{name:?}");
        }
        assert!(plain("tilewright_core.sv").is_ok());
    }
}
