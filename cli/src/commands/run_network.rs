//! `tilewright run` of a network: on the reference, or on onnxruntime.

use std::fmt::Write as _;
use std::time::Instant;

use host_runtime::onnxruntime::{OnnxRuntime, Tensor};
use serde::Serialize;
use serde_json::{Value, json};

use super::run::{Args, Output, values_json};
use crate::accuracy::Accuracy;
use crate::console::{Console, count};
use crate::failure::{Failure, Outcome};
use crate::input::{Count, NetworkArgs};
use crate::{interrupt, oracle, output};

#[derive(Serialize)]
struct Ran {
    network: String,
    network_hash: String,
    device: String,
    /// Version and session of onnxruntime.
    session: Option<String>,
    data: String,
    data_hash: Option<String>,
    images: usize,
    /// How many images the file takes at once.
    batch: usize,
    wall_seconds: f64,
    accuracy: Option<Accuracy>,
    /// The outputs of the file for the first image, or the first batch.
    first_output: Vec<Output>,
}

pub(super) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    for (option, given) in [
        ("--memory", args.memory.is_some()),
        ("--cycle-limit", args.cycle_limit.is_some()),
    ] {
        if given {
            return Err(Failure::usage(
                format!(
                    "`{option}` has no effect: device `{}` has no cycles",
                    args.device
                ),
                "leave it out, or compile the network, and run the artifact",
            ));
        }
    }
    if args.trace.is_some() {
        return Err(Failure::usage(
            "a trace is what the simulator does with an artifact",
            "compile the network, and run the artifact with `--trace`",
        ));
    }
    let network = NetworkArgs {
        network: args.subject.clone(),
        dims: args.dims.clone(),
    };
    let (loaded, file) = network.load_with_file()?;
    let count = args.images.unwrap_or(Count::UpTo(super::run::IMAGES));
    let batch = loaded.network.batch;
    let images = loaded.images(&args.data, count, console)?;
    let mut session = None;
    let mut started = match args.device.as_str() {
        "onnxruntime" => {
            let runtime = OnnxRuntime::find()?;
            let started = oracle::start(&runtime, &file, &loaded.network, &images.host[..batch])?;
            session = Some(format!("{}, {}", runtime.version, started.which));
            Some(started)
        }
        _ => None,
    };
    let bar = console.bar(
        images.images.len() as u64,
        &format!("running on {}", args.device),
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "wall time of the device, printed as measured"
    )]
    let begin = Instant::now();
    let mut outcomes: Vec<Vec<Tensor>> = Vec::new();
    let batches = images.images.chunks_exact(batch);
    for (image, host) in batches.zip(images.host.chunks_exact(batch)) {
        interrupt::check()?;
        outcomes.push(match &mut started {
            Some(started) => started.run(&loaded.network, host)?,
            None => oracle::graph_outputs(&loaded.network, image)?,
        });
        bar.inc(1);
    }
    let wall_seconds = begin.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let outputs = |outcome: &Vec<Tensor>| -> Vec<Value> {
        outcome
            .iter()
            .map(|tensor| values_json(&tensor.values))
            .collect()
    };
    if let Some(path) = &args.outputs {
        let all: Vec<Vec<Value>> = outcomes.iter().map(outputs).collect();
        output::write(path, json!(all).to_string() + "\n")?;
    }
    let firsts = outcomes.iter().map(|outcome| &outcome[0]);
    let ran = Ran {
        network: loaded.network.name.clone(),
        network_hash: loaded.hash.clone(),
        device: args.device.clone(),
        session,
        data: images.origin.clone(),
        data_hash: images.hash.clone(),
        images: outcomes.len() * batch,
        batch,
        wall_seconds,
        accuracy: Accuracy::of(firsts, &loaded.network, &images),
        first_output: outcomes[0].iter().map(Output::of).collect(),
    };
    console.result("run", &ran, || text(&ran))?;
    Ok(Outcome::Good)
}

fn text(ran: &Ran) -> String {
    let device = match &ran.session {
        Some(session) => format!("{} {session}", ran.device),
        None => ran.device.clone(),
    };
    let mut text = format!(
        "network `{}`, device `{device}`, {}: {}\n",
        ran.network,
        count(ran.images as u64, "image"),
        ran.data
    );
    if let Some(accuracy) = &ran.accuracy {
        let _ = writeln!(text, "{accuracy}");
    }
    let _ = writeln!(
        text,
        "wall time of the device: {:.2} s (measured)",
        ran.wall_seconds
    );
    for Output { name, values, .. } in &ran.first_output {
        let values = super::run::shortened(values);
        let first = match ran.batch {
            1 => "image".to_owned(),
            batch => format!("{batch} images"),
        };
        let _ = writeln!(text, "output `{name}` of the first {first}: {values}");
    }
    text
}
