//! The reference against onnxruntime, which runs the file itself.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use host_runtime::Error;
use host_runtime::onnxruntime::{self, OnnxRuntime, Optimiser, Session, Tensor};
use host_runtime::oracle::{Apart, Compared, Exact, Inside, Within};
use ir::network::{HostType, HostValues, HostView, Network, NetworkError, TensorId};
use onnx::oracle::{Element, Given, InputQuantiser, Seen, TwinOutput};
use serde::Serialize;

use crate::console::{Console, Table, count, thousands};
use crate::failure::Failure;
use crate::input::{Images, OnnxFile};
use crate::interrupt;

/// What came of the comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Against {
    /// Whether there is anything to say.
    compared: bool,
    /// Why not.
    reason: Option<String>,
    version: Option<String>,
    /// Which session of onnxruntime ran.
    session: Option<String>,
    /// Why ties cannot be told from faults, where that is so.
    no_twin: Option<String>,
    outputs: Vec<Compared>,
    /// What lies between input and output of the images that differ; none if none does.
    inside: Option<Inside>,
}

impl Against {
    /// Nothing was compared.
    pub(crate) fn not_compared(error: &Error) -> Against {
        Against {
            compared: false,
            reason: Some(error.to_string()),
            version: None,
            session: None,
            no_twin: None,
            outputs: Vec::new(),
            inside: None,
        }
    }

    /// Whether nothing is known to differ.
    pub(crate) fn agrees(&self) -> bool {
        self.outputs.iter().all(Compared::agrees)
    }
}

/// A session on the file, and which it is.
pub(crate) struct Started {
    session: Session,
    optimiser: Optimiser,
    /// For people.
    pub(crate) which: String,
}

/// Starts the session that is nearest to what the file says, and runs it on one image.
///
/// # Errors
/// [`Error::OnnxRuntime`] where no session runs.
pub(crate) fn start(
    runtime: &OnnxRuntime,
    file: &OnnxFile,
    network: &Network,
    batch: &[Vec<HostValues>],
) -> Result<Started, Error> {
    let inputs = inputs(network, batch);
    let start = |bytes: &[u8], optimiser, which: String| {
        let mut session = runtime.session(bytes, file.folder.as_deref(), optimiser)?;
        // Some sessions start and do not run.
        session.run(&inputs)?;
        Ok::<_, Error>(Started {
            session,
            optimiser,
            which,
        })
    };
    start(
        &file.bytes,
        Optimiser::Precise,
        "precise session".to_owned(),
    )
    .or_else(|_| {
        let bytes = rewritten(onnx::oracle::written_out(&file.bytes))?;
        let which = "precise session, constants written out for each use";
        start(&bytes, Optimiser::Precise, which.to_owned())
    })
    .or_else(|error| {
        let error = error.to_string();
        let error = error.lines().next().unwrap_or_default();
        let which = format!("no optimisation, for the precise session does not run: {error}");
        start(&file.bytes, Optimiser::Off, which)
    })
}

impl Started {
    /// Every output of the graph for one image.
    ///
    /// # Errors
    /// [`Error::OnnxRuntime`] where onnxruntime refuses.
    pub(crate) fn run(
        &mut self,
        network: &Network,
        batch: &[Vec<HostValues>],
    ) -> Result<Vec<Tensor>, Error> {
        self.session.run(&inputs(network, batch))
    }
}

/// Compares every output of the graph on all images.
///
/// # Errors
/// As [`start`], [`Started::run`], and [`Error::Network`] where the reference refuses an image.
pub(crate) fn compare(
    network: &Network,
    file: &OnnxFile,
    options: &onnx::Options,
    images: &Images,
    console: &Console,
) -> Result<Result<Against, Error>, Failure> {
    let bar = console.bar(images.images.len() as u64 * 2, "comparing with onnxruntime");
    let against = try_compare(network, file, options, images, || bar.inc(1));
    bar.finish_and_clear();
    interrupt::check()?;
    Ok(against)
}

fn try_compare(
    network: &Network,
    file: &OnnxFile,
    options: &onnx::Options,
    images: &Images,
    step: impl Fn(),
) -> Result<Against, Error> {
    let runtime = OnnxRuntime::find()?;
    let Some(first) = images.host.get(..network.batch) else {
        unreachable!("at least one batch is asked for");
    };
    let mut started = start(&runtime, file, network, first)?;
    let mut ours = Vec::new();
    for image in images.images.chunks_exact(network.batch) {
        if interrupt::requested() {
            break;
        }
        ours.push(graph_outputs(network, image)?);
        step();
    }
    // What is folded for the machine is no tensor of its own, and each node is judged by those of the file.
    let written = LazyCell::new(|| {
        let written = onnx::import_as_written(&file.bytes, file.folder.as_deref(), options);
        let written = written.ok().filter(|written| {
            let is_same = |(a, b): (&TensorId, &TensorId)| {
                let (a, b) = (written.tensor(*a), network.tensor(*b));
                (a.shape(), a.scale, a.zero_point, &a.host)
                    == (b.shape(), b.scale, b.zero_point, &b.host)
            };
            let mut inputs = written.inputs.iter().zip(&network.inputs);
            written.inputs.len() == network.inputs.len() && inputs.all(is_same)
        });
        written.unwrap_or_else(|| network.clone())
    });
    let mut twin = Twin::NotAsked;
    let mut judge = |started: &mut Started| -> Result<(Vec<Compared>, Option<Inside>), Error> {
        let mut outputs: Vec<Compared> = Vec::new();
        let mut inside = None;
        let batches = images
            .host
            .chunks_exact(network.batch)
            .zip(images.images.chunks_exact(network.batch));
        for (image, ((host, codes), ours)) in batches.zip(&ours).enumerate() {
            let theirs = started.run(network, host)?;
            step();
            if outputs.is_empty() {
                outputs = theirs.iter().map(Compared::of).collect();
            }
            // The twin takes its time, and equal values do not need it.
            let (exact, within) = if *ours == theirs {
                (BTreeMap::new(), Within::Right)
            } else {
                let values = codes
                    .iter()
                    .map(|image| all_values(network, &written, image));
                let run = Run {
                    network: &written,
                    image,
                    inputs: inputs(network, host),
                    values: values.collect::<Result<_, _>>()?,
                };
                twin.exact(&runtime, file, run, &mut inside)
            };
            for (compared, theirs) in outputs.iter_mut().zip(&theirs) {
                let ours = ours.iter().find(|ours| ours.name == theirs.name);
                compared.add(image, ours, theirs, exact.get(&theirs.name), within);
            }
        }
        Ok((outputs, inside))
    };
    let (mut outputs, mut inside) = judge(&mut started)?;
    let n_changed = outputs.iter().map(|output| match output.different {
        0 if output.is_between_steps() => output.ties + output.untold,
        different => different,
    });
    let n_changed: u64 = n_changed.sum();
    if n_changed > 0 && started.optimiser == Optimiser::Precise {
        // The optimiser changes what some files mean, such as those that quantise twice in a row.
        let session = runtime.session(&file.bytes, file.folder.as_deref(), Optimiser::Off)?;
        let mut plain = Started {
            session,
            optimiser: Optimiser::Off,
            which: format!(
                "no optimisation, for the optimiser of onnxruntime changes {n_changed} values of this file"
            ),
        };
        let again = judge(&mut plain)?;
        if again.0.iter().all(Compared::agrees) {
            ((outputs, inside), started) = (again, plain);
        }
    }
    Ok(Against {
        compared: true,
        reason: None,
        version: Some(runtime.version.clone()),
        session: Some(started.which),
        no_twin: match twin {
            Twin::None(reason) => Some(reason),
            _ => None,
        },
        outputs,
        inside,
    })
}

/// Every tensor of `written` for one image: those that `network` has too as it computes them, which is what is judged.
fn all_values(
    network: &Network,
    written: &Network,
    image: &[Vec<i8>],
) -> Result<Vec<Vec<i8>>, NetworkError> {
    let mut values = written.reference(image)?;
    let own = network.reference(image)?;
    let own: BTreeMap<&str, &Vec<i8>> = network
        .tensors
        .iter()
        .map(|tensor| tensor.name.as_str())
        .zip(&own)
        .collect();
    for (tensor, values) in written.tensors.iter().zip(&mut values) {
        if let Some(own) = own.get(tensor.name.as_str())
            && own.len() == values.len()
        {
            values.clone_from(own);
        }
    }
    Ok(values)
}

/// One run of the reference.
struct Run<'a> {
    network: &'a Network,
    image: usize,
    /// The inputs of the graph.
    inputs: Vec<Tensor>,
    /// Every tensor of the network, for each image of the batch.
    values: Vec<Vec<Vec<i8>>>,
}

/// The file in double precision.
enum Twin {
    NotAsked,
    Here(Box<Session>, TwinHere),
    None(String),
}

/// What the twin takes and gives.
struct TwinHere {
    outputs: Vec<TwinOutput>,
    given: Vec<Given>,
    /// The tensors of the network, by their names in the file.
    inner: BTreeMap<String, TensorId>,
    seen: BTreeMap<String, Seen>,
}

impl Twin {
    /// What it says of each output, by name, and of the values inside, which it takes from the reference, so that each node
    /// is judged by its own operands; nothing where there is no twin.
    fn exact(
        &mut self,
        runtime: &OnnxRuntime,
        file: &OnnxFile,
        mut run: Run,
        inside: &mut Option<Inside>,
    ) -> (BTreeMap<String, Exact>, Within) {
        if matches!(self, Twin::NotAsked) {
            *self = match Twin::of(runtime, file, &run) {
                Ok((session, here)) => Twin::Here(Box::new(session), here),
                Err(error) => Twin::None(error.to_string()),
            };
        }
        let nothing = (BTreeMap::new(), Within::Right);
        let Twin::Here(session, here) = self else {
            return nothing;
        };
        let given = here.given.iter().map(|given| run.tensor(given, here));
        let tensors = given.collect::<Result<Vec<_>, _>>().and_then(|given| {
            run.inputs.extend(given);
            session.run(&run.inputs)
        });
        let tensors = match tensors {
            Ok(tensors) => tensors,
            Err(error) => {
                *self = Twin::None(error.to_string());
                return nothing;
            }
        };
        let inside = inside.get_or_insert_default();
        let mut within = Within::Right;
        for given in &here.given {
            let ours = run.inputs.iter().find(|tensor| tensor.name == given.input);
            let ours = ours.expect("it was given");
            let name = &given.own.name;
            let meant = here.inner[name];
            let slack = run.bias_error(meant, &here.inner);
            let exact = exact(&given.own, &tensors, slack);
            let of_tensor = inside.add(run.image, name, ours, &exact);
            within = within.max(of_tensor);
        }
        let outputs = run.network.outputs.iter();
        let slack = outputs.map(|&id| run.bias_error(id, &here.inner));
        let slack = slack.fold(0.0, f64::max);
        let outputs = here.outputs.iter();
        let outputs = outputs.map(|of| (of.name.clone(), exact(of, &tensors, slack)));
        (outputs.collect(), within)
    }

    fn of(runtime: &OnnxRuntime, file: &OnnxFile, run: &Run) -> Result<(Session, TwinHere), Error> {
        let session = |bytes: &[u8]| runtime.session(bytes, file.folder.as_deref(), Optimiser::Off);
        let tapped = rewritten(onnx::oracle::tapped(&file.bytes))?;
        let shapes = session(&tapped)?.shapes(&run.inputs)?;
        let of_inputs = run.inputs.iter().map(|input| {
            let element = input.values.type_name().to_owned();
            (input.name.clone(), (element, input.shape.clone()))
        });
        let seen = of_inputs.chain(shapes);
        let seen = seen.map(|(name, (element, shape))| (name, Seen::new(&element, shape)));
        let seen: BTreeMap<String, Seen> = seen.collect();
        let quantisers = rewritten(onnx::oracle::input_quantisers(&file.bytes))?;
        let inner = run.inner(&seen, &quantisers);
        let names = inner.keys().cloned().collect();
        let twin = rewritten(onnx::oracle::twin(&file.bytes, &seen, &names))?;
        let here = TwinHere {
            outputs: twin.outputs,
            given: twin.given,
            inner,
            seen,
        };
        Ok((session(&twin.bytes)?, here))
    }
}

impl Run<'_> {
    /// The tensors of the network that are bytes of the file, by their names there: those between nodes in the same order,
    /// and what the file's quantisers make of the inputs.
    fn inner(
        &self,
        seen: &BTreeMap<String, Seen>,
        quantisers: &[InputQuantiser],
    ) -> BTreeMap<String, TensorId> {
        let is_byte = |name: &str| {
            let element = seen.get(name).map(|seen| seen.element);
            matches!(element, Some(Element::Int8 | Element::Uint8))
        };
        let mut inner = BTreeMap::new();
        for (id, tensor) in (0..).map(TensorId).zip(&self.network.tensors) {
            let made = quantisers.iter().filter(|of| self.is_made_by(id, of, seen));
            inner.extend(made.map(|of| (of.output.clone(), id)));
            let sides = |shape: &[usize]| -> Vec<usize> {
                shape.iter().copied().filter(|&size| size != 1).collect()
            };
            let mut whole = tensor.shape().to_vec();
            whole.insert(0, self.network.batch);
            let seen = seen.get(&tensor.name);
            if seen.is_some_and(|seen| sides(&seen.shape) == sides(&whole)) {
                inner.insert(tensor.name.clone(), id);
            }
        }
        inner.retain(|name, _| is_byte(name));
        inner
    }

    /// Whether the input `id` of the network is what `quantiser` makes of the graph's input.
    fn is_made_by(
        &self,
        id: TensorId,
        quantiser: &InputQuantiser,
        seen: &BTreeMap<String, Seen>,
    ) -> bool {
        let tensor = self.network.tensor(id);
        let view = tensor
            .host
            .as_ref()
            .filter(|_| self.network.inputs.contains(&id));
        let rebased = match seen.get(&quantiser.output).map(|seen| seen.element) {
            Some(Element::Uint8) => 128,
            _ => 0,
        };
        let zero_point = i64::from(tensor.zero_point) + rebased;
        view.is_some_and(|view| view.host_type == HostType::Float32 && view.name == quantiser.input)
            && (tensor.scale, zero_point) == (quantiser.scale, quantiser.zero_point)
    }

    /// The tensor as the reference has it, as an input of the twin.
    fn tensor(&self, given: &Given, here: &TwinHere) -> Result<Tensor, Error> {
        let id = here.inner[&given.own.name];
        let Seen { element, shape } = &here.seen[&given.own.name];
        let host_type = match element {
            Element::Uint8 => HostType::Uint8,
            _ => HostType::Int8,
        };
        let of = self.network.tensor(id);
        // Inputs lie as the host has them, all else as the network does.
        let [channels, height, width] = of.shape();
        let strides = match &of.host {
            Some(view) => view.strides,
            None => [height * width, width, 1],
        };
        let view = HostView {
            name: given.input.clone(),
            shape: vec![1, channels, height, width],
            strides,
            host_type,
        };
        let of = ir::network::Tensor {
            host: Some(view),
            ..of.clone()
        };
        let mut images = self
            .values
            .iter()
            .map(|image| of.to_host(&image[id.index()]));
        let mut values = images.next().expect("there is one")?;
        for image in images {
            values.append(image?);
        }
        Ok(Tensor {
            name: given.input.clone(),
            shape: shape.clone(),
            values: values.into(),
        })
    }

    /// How far a bias is off in `id`, at most, in its steps: one of its own, or of a tensor of the same scale that it is
    /// made from and that is none of the file's, the `inner` ones.
    fn bias_error(&self, id: TensorId, inner: &BTreeMap<String, TensorId>) -> f64 {
        let Some(producer) = self.network.producer(id) else {
            return 0.0;
        };
        let einsum = self.network.einsum(producer);
        let scale = self.network.tensor(id).scale;
        let hidden = einsum.inputs.iter().filter(|input| {
            let is_known = inner.values().any(|known| known == *input);
            !is_known && self.network.tensor(**input).scale == scale
        });
        let moved = hidden.map(|&input| self.bias_error(input, inner));
        f64::from(einsum.kind.bias_error()) + moved.fold(0.0, f64::max)
    }
}

fn exact(of: &TwinOutput, tensors: &[Tensor], slack: f64) -> Exact {
    let values = |name: &String| {
        let tensor = tensors.iter().find(|tensor| tensor.name == *name);
        tensor
            .map(|tensor| tensor.values.to_f64())
            .unwrap_or_default()
    };
    let step = of.step.as_ref().map(values);
    Exact {
        values: values(&of.value),
        real: of.real.as_ref().map(values),
        step: step.map_or(1.0, |step| step.into_iter().fold(0.0, f64::max)),
        slack,
    }
}

fn rewritten<T>(rewritten: Result<T, onnx::oracle::NoRewrite>) -> Result<T, Error> {
    rewritten.map_err(|error| Error::OnnxRuntime {
        message: error.to_string(),
    })
}

/// The inputs of the graph for the images of one batch; an input that the network quantises in several ways is one.
fn inputs(network: &Network, batch: &[Vec<HostValues>]) -> Vec<Tensor> {
    let mut tensors: Vec<Tensor> = Vec::new();
    for (position, id) in network.inputs.iter().enumerate() {
        let view = network.tensor(*id).host.as_ref();
        let view = view.expect("inputs have a host view");
        if tensors.iter().any(|tensor| tensor.name == view.name) {
            continue;
        }
        let mut values = batch[0][position].clone();
        for image in &batch[1..] {
            values.append(image[position].clone());
        }
        let mut shape = view.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first *= batch.len();
        }
        tensors.push(Tensor {
            name: view.name.clone(),
            shape,
            values: values.into(),
        });
    }
    tensors
}

/// The outputs of the graph as the reference has them, for the images of one batch.
pub(crate) fn graph_outputs(
    network: &Network,
    batch: &[Vec<Vec<i8>>],
) -> Result<Vec<Tensor>, Error> {
    let mut runs = Vec::new();
    for image in batch {
        let values = network.reference(image)?;
        let outputs = network.outputs.iter().map(|id| values[id.index()].clone());
        runs.push(outputs.collect());
    }
    tensors(network, &runs)
}

/// The outputs of the file, from those of a device for each image of one batch.
pub(crate) fn tensors(network: &Network, runs: &[Vec<Vec<i8>>]) -> Result<Vec<Tensor>, Error> {
    let results = network.results(runs)?.into_iter();
    let tensors = results.map(|(name, tensor)| Tensor {
        name,
        shape: tensor.shape,
        values: onnxruntime::Values::from(tensor.values),
    });
    Ok(tensors.collect())
}

/// The result for people.
pub(crate) fn text(against: &Against) -> String {
    let mut text = String::new();
    let (Some(version), Some(session)) = (&against.version, &against.session) else {
        let reason = against.reason.as_deref().unwrap_or("nothing ran");
        let _ = writeln!(text, "\nreference and onnxruntime: not compared: {reason}");
        return text;
    };
    let _ = writeln!(
        text,
        "\nreference and onnxruntime {version} on the file itself ({session})"
    );
    let mut table = Table::new([
        "output",
        "type",
        "values",
        "equal",
        "close",
        "ties",
        "behind ties",
        "one step, not told",
        "different",
    ]);
    for output in &against.outputs {
        let counts = [
            output.equal,
            output.close,
            output.ties,
            output.behind,
            output.untold,
            output.different,
        ];
        let total: u64 = counts.iter().sum();
        let numbers = [total].into_iter().chain(counts).map(thousands);
        let row = [output.output.clone(), output.element.to_owned()];
        table.row(row.into_iter().chain(numbers));
    }
    let _ = write!(text, "{table}");
    for output in &against.outputs {
        let of = &output.output;
        if let Some(unlike) = &output.unlike {
            let _ = writeln!(text, "`{of}` cannot be compared: {unlike}");
        }
        if let Some(apart) = &output.first_step {
            let _ = writeln!(text, "first of the ties of `{of}`: {}", shown(apart));
        }
        if let Some(apart) = &output.first_different {
            let _ = writeln!(text, "first difference of `{of}`: {}", shown(apart));
        }
    }
    if let Some(inside) = &against.inside {
        let _ = writeln!(
            text,
            "inside of the images that differ, each node by its own operands: {}, {}, {} wrong",
            count(inside.values, "value"),
            count(inside.ties, "tie"),
            thousands(inside.wrong)
        );
        if let Some(wrong) = &inside.first_wrong {
            let _ = writeln!(
                text,
                "first of the wrong: `{}`, image {}, value {}: reference {}, exact {}",
                wrong.tensor, wrong.image, wrong.index, wrong.reference, wrong.exact
            );
        }
    }
    if let Some(reason) = &against.no_twin {
        let _ = writeln!(
            text,
            "no twin in double precision tells ties from faults: {reason}"
        );
    }
    let sum = |of: fn(&Compared) -> u64| against.outputs.iter().map(of).sum::<u64>();
    let unlike = against
        .outputs
        .iter()
        .filter(|output| output.unlike.is_some())
        .count();
    let _ = writeln!(
        text,
        "reference, onnxruntime: {}, {}{}",
        count(sum(|of| of.different), "difference"),
        count(sum(|of| of.ties), "tie"),
        match unlike {
            0 => String::new(),
            n => format!(", {} not comparable", count(n as u64, "output")),
        }
    );
    text
}

fn shown(apart: &Apart) -> String {
    let exact = match apart.exact {
        Some(exact) => format!(", exact {exact}"),
        None => String::new(),
    };
    format!(
        "image {}, value {}: reference {}, onnxruntime {}{exact}, one step {}",
        apart.image, apart.index, apart.reference, apart.onnxruntime, apart.step
    )
}

#[cfg(test)]
mod tests {
    use ir::op::Kind;

    use super::*;
    use crate::input::{Count, DIGITS, digits_images};

    /// Digits with the reference as it is, and with one that lies in one bias.
    #[test]
    fn a_reference_that_computes_something_else_is_different() {
        let required = std::env::var_os("TILEWRIGHT_REQUIRE_TOOLS").is_some();
        if let Err(error) = OnnxRuntime::find() {
            assert!(!required, "{error}");
            #[expect(clippy::print_stderr, reason = "a skipped test says why")]
            {
                eprintln!("skipped: {error}");
            }
            return;
        }
        let file = OnnxFile {
            bytes: DIGITS.to_vec(),
            folder: None,
        };
        let mut network =
            onnx::import_bytes(DIGITS, &onnx::Options::default()).expect("it is read");
        let images = digits_images(&network, Count::First(2)).expect("they are read");
        let compare = |network: &Network| {
            try_compare(network, &file, &onnx::Options::default(), &images, || ())
                .expect("onnxruntime runs it")
        };
        let honest = compare(&network);
        assert!(
            honest.agrees() && honest.outputs[0].equal == 20,
            "{honest:?}"
        );
        assert_eq!(honest.inside, None);
        let mut inner = network.clone();
        let Kind::Conv(first) = &mut inner.einsums[0].kind else {
            panic!("the first operator of digits is a convolution");
        };
        first.bias[0] += 4000;
        let lie = compare(&inner);
        assert!(!lie.agrees(), "{lie:?}");
        let inside = lie.inside.expect("the images differ");
        let wrong = inside.first_wrong.expect("the bias shows where it is");
        let output = inner.einsums[0].output;
        assert_eq!(wrong.tensor, network.tensor(output).name);
        let last = network.einsums.last_mut().expect("there are some");
        let Kind::Conv(classifier) = &mut last.kind else {
            panic!("the last operator of digits is its classifier");
        };
        classifier.bias[3] += 4000;
        let lie = compare(&network);
        assert!(!lie.agrees(), "{lie:?}");
        let output = &lie.outputs[0];
        assert_eq!(
            (output.equal, output.different),
            (18, 2),
            "one class of ten, in both images"
        );
        assert_eq!(
            output.first_different.as_ref().map(|apart| apart.index),
            Some(3)
        );
    }
}
