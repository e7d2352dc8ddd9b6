//! The digits network with real images on the reference, the simulator and the RTL: every tensor's bits, every
//! instruction's start and signal, every counter, the memory at the end.
//!
//! A few images here; `tilewright verify --images all` runs all 360.

use std::path::{Path, PathBuf};

use host_runtime::verify::{Options, Variant, verify};
use host_runtime::verilated::Optimise;
use host_runtime::{Error, Machine, RtlMachine};
use ir::Arch;
use ir::arch::{Attachment, Counters, Host};
use ir::directive::{FORMAT, read};
use ir::memory::MemoryModel;
use ir::network::{HostValues, Network};

const IMAGES: usize = 4;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn arch(name: &str) -> Arch {
    let path = file(&format!("examples/archs/{name}.toml"));
    ir::arch::read(
        name,
        &std::fs::read_to_string(path).expect("the preset is there"),
    )
    .expect("presets are legal")
}

fn images(network: &Network) -> Vec<Vec<Vec<i8>>> {
    let data = onnx::dataset::read_npz(&file("examples/networks/digits/digits_test.npz"), "images")
        .expect("the data");
    let pixels = data.to_f32();
    let input = network.tensor(network.inputs[0]);
    let image = |values: &[f32]| {
        let scaled = values.iter().map(|v| v / 16.0).collect();
        input
            .from_host(&HostValues::Float32(scaled))
            .expect("64 pixels")
    };
    pixels
        .chunks(64)
        .take(IMAGES)
        .map(|values| vec![image(values)])
        .collect()
}

fn agree(arch: &Arch, models: &[MemoryModel], directives: &str) {
    let rtl = RtlMachine::of(arch, Optimise::Quick).map(|m| Box::new(m) as Box<dyn Machine>);
    if let Err(Error::Unavailable { reason, .. }) = &rtl {
        hw::flow::skip_test(reason);
        return;
    }
    let network = onnx::import(
        &file("examples/networks/digits_int8.onnx"),
        &onnx::Options::default(),
    )
    .expect("digits");
    let images = images(&network);
    let options = Options {
        models,
        images: &images,
        machines: vec![("rtl", rtl)],
        cycle_limit: 1_000_000,
    };
    let result = verify(&network, arch, options, |variant| {
        let text = format!("directives {FORMAT}\n{directives}\n");
        let options = mapper::Options {
            keep_all: variant == Variant::KeepAll,
            directives: read("the test", &text).expect("they can be read"),
            ..Default::default()
        };
        Ok::<_, Error>(
            mapper::compile(&network, arch, &options)
                .expect("digits fits")
                .program,
        )
    })
    .unwrap_or_else(|e| panic!("{}: {e}", arch.name));
    assert_eq!(result.devices, ["reference", "sim", "rtl"]);
    assert!(
        result.agrees(),
        "{}",
        result.first.expect("a first difference")
    );
}

const MODELS: [MemoryModel; 3] = [MemoryModel::Ideal, MemoryModel::M1, MemoryModel::M2];

#[test]
fn edge() {
    agree(&arch("edge"), &MODELS, "");
}

/// Strips pass from the first layer to the next instead of the whole image.
#[test]
fn edge_depth_first() {
    agree(&arch("edge"), &MODELS, "conv1: output=passes");
}

#[test]
fn nano() {
    agree(&arch("nano"), &MODELS, "");
}

/// nano with its memory behind a port, and with all counters.
#[test]
fn nano_with_a_port() {
    let mut arch = arch("nano");
    arch.name = "nano_port".to_owned();
    arch.memory.attachment = Attachment::Port;
    arch.host = Host::Axi;
    arch.counters = Counters::Full;
    agree(&arch, &MODELS, "");
}
