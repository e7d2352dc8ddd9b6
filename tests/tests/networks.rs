//! Networks that nobody wrote the importer around: what `tests/networks/networks.toml` says of each of them holds.
//!
//! `tests/networks/make.py` wrote the files with the values of onnxruntime. Each network is imported, run by the reference
//! and compared with these values; then it is compiled, and simulator and reference are compared in every tensor. What is
//! refused, wrong or only run by the reference today is listed as such, and the test fails as soon as it is not.

#![expect(
    clippy::print_stdout,
    reason = "what was compared is shown with `--nocapture`"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use host_runtime::Error;
use host_runtime::verify::{Options, Variant, verify};
use ir::Arch;
use ir::memory::MemoryModel;
use ir::network::{HostTensor, HostValues, Network};
use miette::Diagnostic;
use onnx::ImportError;
use onnx::dataset::{Values, read_npz};
use serde::Deserialize;

/// Archs, in the order in which a network tries them.
const ARCHS: [&str; 2] = ["edge", "both"];
/// How far a float may be from the right one, in units of its last place.
const ULPS: f64 = 4.0;

/// One line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// What the network is.
    what: String,
    /// What the project does with it.
    expect: State,
    /// How many values are one step from onnxruntime's and from the exact ones.
    #[serde(default)]
    ties: usize,
    /// Why there are ties, or why it does not run.
    because: Option<String>,
}

/// What the project does with a network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Right values, and it runs on the arch.
    Runs(String),
    /// Right values by the reference; the archs refuse it, the first one with the code.
    Reference(String),
    /// Import refuses it with the code.
    Refused(String),
    /// It runs and gives wrong values: a fault that waits to be mended.
    Wrong,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            State::Runs(arch) => write!(f, "expect = {{ runs = \"{arch}\" }}"),
            State::Reference(code) => write!(f, "expect = {{ reference = \"{code}\" }}"),
            State::Refused(code) => write!(f, "expect = {{ refused = \"{code}\" }}"),
            State::Wrong => write!(f, "expect = \"wrong\""),
        }
    }
}

/// A graph output, as onnxruntime gives it.
#[derive(Debug, Deserialize)]
struct Wanted {
    name: String,
    #[serde(rename = "type")]
    host_type: String,
    shape: Vec<usize>,
    /// The size of a step of the last quantiser in front of a float output, if there is one.
    step: Option<f64>,
    values: Vec<f64>,
    /// The exact values rounded once, where onnxruntime rounds a tie another way.
    exact: Option<Vec<f64>>,
}

/// A graph output, as the project gives it.
struct Given {
    name: String,
    host_type: &'static str,
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// How many values are equal, one step off, and different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    equal: usize,
    ties: usize,
    differ: usize,
}

/// The images of a network: for each the tensors of its inputs.
type Images = Vec<Vec<Vec<i8>>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("networks")
}

fn arch(name: &str) -> Arch {
    let path = folder().join(format!("../../examples/archs/{name}.toml"));
    let text = std::fs::read_to_string(path).expect("the preset is there");
    ir::arch::read(name, &text).expect("presets are legal")
}

/// Reads `NAME.npz`; a file with a batch gives one image for each of its entries.
fn images(name: &str, network: &Network) -> Images {
    let mut images = Images::new();
    for id in &network.inputs {
        let tensor = network.tensor(*id);
        let view = tensor.host.as_ref().expect("an input has a view");
        let array = read_npz(&folder().join(format!("{name}.npz")), &view.name);
        let parts: Vec<HostValues> = match array.unwrap_or_else(|e| panic!("{name}: {e}")).values {
            Values::Float32(v) => chunks(&v, tensor.n_values(), HostValues::Float32),
            Values::Int8(v) => chunks(&v, tensor.n_values(), HostValues::Int8),
            Values::Uint8(v) => chunks(&v, tensor.n_values(), HostValues::Uint8),
            other => panic!("{name}: no graph input is {other:?}"),
        };
        images.resize(parts.len(), Vec::new());
        for (image, part) in images.iter_mut().zip(&parts) {
            image.push(
                tensor
                    .from_host(part)
                    .unwrap_or_else(|e| panic!("{name}: {e}")),
            );
        }
    }
    images
}

fn chunks<T: Clone>(
    values: &[T],
    size: usize,
    wrap: impl Fn(Vec<T>) -> HostValues,
) -> Vec<HostValues> {
    values
        .chunks(size)
        .map(|part| wrap(part.to_vec()))
        .collect()
}

/// The graph outputs by the reference.
fn given(network: &Network, images: &Images) -> Vec<Given> {
    let runs: Vec<Vec<Vec<i8>>> = images
        .iter()
        .map(|image| network.reference(image).expect("the inputs fit"))
        .collect();
    let outputs = runs.iter().map(|run| {
        let of = |id: &ir::network::TensorId| run[id.index()].clone();
        network.outputs.iter().map(of).collect()
    });
    let results = network.results(&outputs.collect::<Vec<_>>());
    let output = |(name, tensor): (String, HostTensor)| {
        let (host_type, values) = match tensor.values {
            HostValues::Float32(v) => ("float32", v.into_iter().map(f64::from).collect()),
            HostValues::Int8(v) => ("int8", v.into_iter().map(f64::from).collect()),
            HostValues::Uint8(v) => ("uint8", v.into_iter().map(f64::from).collect()),
            HostValues::Int64(v) => ("int64", v.into_iter().map(|v| v as f64).collect()),
        };
        Given {
            name,
            host_type,
            shape: tensor.shape,
            values,
        }
    };
    results
        .expect("the outputs fit the network")
        .into_iter()
        .map(output)
        .collect()
}

/// Compares all outputs; one that is absent, or of another type or shape, differs in all values.
fn compare(wanted: &[Wanted], given: &[Given]) -> Counts {
    let mut counts = Counts::default();
    for want in wanted {
        let found = given.iter().find(|output| {
            output.name == want.name
                && output.host_type == want.host_type
                && output.shape == want.shape
                && output.values.len() == want.values.len()
        });
        let Some(found) = found else {
            counts.differ += want.values.len();
            continue;
        };
        let exact = want.exact.as_ref().unwrap_or(&want.values);
        for ((&value, &right), &exact) in found.values.iter().zip(&want.values).zip(exact) {
            let float = want.host_type == "float32";
            let close = |right: f64| (value - right).abs() <= if float { ulps(right) } else { 0.0 };
            let step = if float { want.step } else { Some(1.0) };
            if close(right) || close(exact) {
                counts.equal += 1;
            } else if step.is_some_and(|step| (value - right).abs() <= step * 1.0001 + ulps(right))
            {
                counts.ties += 1;
            } else {
                counts.differ += 1;
            }
        }
    }
    counts
}

/// [`ULPS`] units of the last place of `value` as a float32.
fn ulps(value: f64) -> f64 {
    let value = (value as f32).abs();
    ULPS * (f64::from(value.next_up()) - f64::from(value))
}

fn code(error: &dyn Diagnostic) -> String {
    error
        .code()
        .map_or_else(String::new, |code| code.to_string())
}

/// What the project does with the network, and how its values compare; a message where devices contradict each other.
fn state(name: &str, archs: &[Arch]) -> Result<(State, Counts), String> {
    let path = folder().join(format!("{name}.onnx"));
    let network = match onnx::import(&path, &onnx::Options::default()) {
        Ok(network) => network,
        Err(ImportError::Refused { problems }) => {
            return Ok((State::Refused(code(&problems[0])), Counts::default()));
        }
        Err(error) => return Ok((State::Refused(code(&error)), Counts::default())),
    };
    let wanted =
        std::fs::read_to_string(folder().join(format!("{name}.json"))).expect("the values");
    let wanted: Vec<Wanted> = serde_json::from_str(&wanted).expect("a list of outputs");
    let images = images(name, &network);
    let counts = compare(&wanted, &given(&network, &images));
    if counts.differ > 0 {
        return Ok((State::Wrong, counts));
    }
    let mut refusal = None;
    for arch in archs {
        match agree(&network, arch, &images) {
            Ok(None) => return Ok((State::Runs(arch.name.clone()), counts)),
            Ok(Some(difference)) => return Err(difference),
            Err(code) => refusal = refusal.or(Some(code)),
        }
    }
    Ok((State::Reference(refusal.expect("there are archs")), counts))
}

/// Where the simulator of `arch` differs from the reference, or the code of what refuses the network.
fn agree(network: &Network, arch: &Arch, images: &Images) -> Result<Option<String>, String> {
    enum Fault {
        Refused(String),
        Run(Error),
    }
    impl From<Error> for Fault {
        fn from(error: Error) -> Fault {
            Fault::Run(error)
        }
    }
    let options = Options {
        models: &[MemoryModel::M1],
        images,
        machines: Vec::new(),
        cycle_limit: 100_000_000,
    };
    let verified = verify(network, arch, options, |variant| {
        let options = mapper::Options {
            keep_all: variant == Variant::KeepAll,
            ..Default::default()
        };
        let compiled = mapper::compile(network, arch, &options)
            .map_err(|error| Fault::Refused(code(&error)))?;
        Ok(compiled.program)
    });
    match verified {
        Ok(verified) if verified.agrees() => Ok(None),
        Ok(verified) => Ok(Some(format!(
            "the simulator differs from the reference: {:?}",
            verified.first
        ))),
        Err(Fault::Refused(code)) => Err(code),
        Err(Fault::Run(error)) => Ok(Some(format!("the program of `{}`: {error}", arch.name))),
    }
}

/// Every row and file of the table, and what is not as it says.
#[test]
fn networks_do_what_the_table_says() {
    let table = std::fs::read_to_string(folder().join("networks.toml")).expect("the table");
    let rows: BTreeMap<String, Row> = toml::from_str(&table).expect("one row for each network");
    let archs = ARCHS.map(arch);
    let mut faults = Vec::new();
    let mut total = Counts::default();
    for (name, row) in &rows {
        let line = |state: &State| format!("{name} = {{ what = {:?}, {state} }}", row.what);
        match state(name, &archs) {
            Err(difference) => faults.push(format!("{name}: {difference}")),
            Ok((state, counts)) => {
                println!(
                    "{name}: {state}: {} equal, {} ties, {} differ",
                    counts.equal, counts.ties, counts.differ
                );
                if state != row.expect {
                    faults.push(format!("not as the table says: {}", line(&state)));
                }
                if state != State::Wrong {
                    total.equal += counts.equal;
                    total.ties += counts.ties;
                    if counts.ties != row.ties {
                        faults.push(format!(
                            "{name}: {} values are one step off, {} in the table",
                            counts.ties, row.ties
                        ));
                    }
                }
            }
        }
        let runs = matches!(row.expect, State::Runs(_)) && row.ties == 0;
        if !runs && row.because.is_none() {
            faults.push(format!("{name}: the table does not say why"));
        }
    }
    println!(
        "{} networks: {} values equal, {} ties",
        rows.len(),
        total.equal,
        total.ties
    );
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let unlisted = files.iter().filter(|name| !rows.contains_key(*name));
    faults.extend(unlisted.map(|name| format!("{name}: not in the table")));
    assert!(
        faults.is_empty(),
        "{} faults; a row has to say:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn a_wrong_value_is_not_a_tie_and_a_tie_is_not_equal() {
    let want = |host_type: &str, step, exact: Option<f64>| Wanted {
        name: "y".into(),
        host_type: host_type.into(),
        shape: vec![1],
        step,
        values: vec![10.0],
        exact: exact.map(|value| vec![value]),
    };
    let case = |want: Wanted, host_type, value| {
        let given = Given {
            name: "y".into(),
            host_type,
            shape: vec![1],
            values: vec![value],
        };
        let counts = compare(&[want], &[given]);
        (counts.equal, counts.ties, counts.differ)
    };
    let (equal, tie, different) = ((1, 0, 0), (0, 1, 0), (0, 0, 1));
    assert_eq!(case(want("int8", None, None), "int8", 10.0), equal);
    assert_eq!(case(want("int8", None, None), "int8", 11.0), tie);
    assert_eq!(case(want("int8", None, Some(11.0)), "int8", 11.0), equal);
    assert_eq!(case(want("int8", None, None), "int8", 12.0), different);
    assert_eq!(case(want("int8", None, None), "uint8", 10.0), different);
    assert_eq!(
        case(want("float32", None, None), "float32", 10.000_001),
        equal
    );
    assert_eq!(
        case(want("float32", None, None), "float32", 10.001),
        different
    );
    assert_eq!(case(want("float32", Some(0.5), None), "float32", 9.5), tie);
    assert_eq!(
        case(want("float32", Some(0.5), None), "float32", 9.0),
        different
    );
}
