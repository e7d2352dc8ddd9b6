//! Writes the report of digits on a preset, with everything that this machine can say:
//! `cargo run -p tilewright-bench --example report -- edge report.html`.

use std::error::Error;

use bench::report::{
    Check, Dataset, Device, DeviceRun, Exploration, ExploredDesign, Figure, Fpga, OutputsCompared,
    Part, Provenance, Rejected, Resource, Tool,
};

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(preset), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: report PRESET FILE".into());
    };
    let (network, arch) = (common::digits(), common::preset(&preset));
    let mut report = common::report(&network, &arch);
    report.exploration = explored(&network, &arch);
    if std::env::var_os("TILEWRIGHT_EXAMPLE_PARTS").is_some() {
        example_parts(&mut report);
    }
    std::fs::write(&path, report.to_html())?;
    std::fs::write(format!("{path}.json"), report.to_json())?;
    Ok(())
}

fn explored(network: &ir::network::Network, arch: &ir::Arch) -> Part<Exploration> {
    let space = explore::Space::standard();
    let points = explore::run(
        &space,
        network,
        arch,
        &explore::Options::default(),
        &|_| (),
        &|| false,
    );
    let front = explore::front(&points);
    let designs = points.iter().enumerate().filter_map(|(i, point)| {
        let m = point.metrics()?;
        Some(ExploredDesign {
            name: point.name.clone(),
            cycles: m.cycles,
            utilisation: m.utilisation,
            multipliers: m.multipliers,
            memory_bits: m.memory_bits,
            traffic_bytes: m.traffic_bytes,
            on_front: front.contains(&i),
        })
    });
    let rejected = explore::print::rejected(&points).into_iter();
    Part::Present(Exploration {
        space: space.name.clone(),
        points_in_space: points.len() as u64,
        designs: designs.collect(),
        rejected: rejected
            .map(|(kind, why, n)| Rejected {
                reason: format!("{kind}: {why}"),
                points: n as u64,
            })
            .collect(),
    })
}

/// Invented values for the parts that need tools or a dataset: to look at the page, never to be quoted.
fn example_parts(report: &mut bench::Report) {
    let measured = |value| Figure::new(value, Provenance::Measured);
    report.dataset = Part::Present(Dataset {
        name: "INVENTED digits_test.npz".to_owned(),
        device: "sim".to_owned(),
        images: 360,
        correct: 354,
        outputs: Part::Present(OutputsCompared {
            with: "onnxruntime".to_owned(),
            compared: 3600,
            equal: 3600,
        }),
        provenance: Provenance::Simulated,
    });
    let ran = |cycles, provenance| {
        Part::Present(DeviceRun {
            images: 360,
            cycles,
            provenance,
        })
    };
    let device = |name: &str, description: &str, ran| Device {
        name: name.to_owned(),
        description: description.to_owned(),
        ran,
    };
    let cycles = Some(report.run.cycles.value);
    report.devices = vec![
        device(
            "reference",
            "the meaning of the network, in plain loops",
            ran(None, Provenance::Measured),
        ),
        device(
            "sim",
            "the simulator: bit and cycle exact",
            ran(cycles, Provenance::Simulated),
        ),
        device(
            "rtl",
            "the generated design in Verilator",
            ran(cycles, Provenance::RtlSimulated),
        ),
        device(
            "cuda",
            "a GPU",
            Part::absent("`libcuda.so` is not installed"),
        ),
    ];
    let resource = |name: &str, used, available| Resource {
        name: name.to_owned(),
        used: measured(used),
        available,
    };
    report.fpga = Part::Present(Fpga {
        device: "INVENTED iCE40 UP5K".to_owned(),
        board: Some("iCEBreaker".to_owned()),
        resources: vec![
            resource("LC", 4321, 5280),
            resource("DSP", 8, 8),
            resource("BRAM", 29, 30),
            resource("SPRAM", 4, 4),
        ],
        clock_hz: Figure::new(24_000_000, Provenance::Given),
        fmax_hz: Figure::new(26_120_000, Provenance::Estimated),
        bitstream_bytes: measured(104_090),
        checks: vec![
            Check {
                name: "DSP parameters".to_owned(),
                passed: true,
                detail: "8 of 8 cells as in the Design".to_owned(),
            },
            Check {
                name: "timing".to_owned(),
                passed: false,
                detail: "invented".to_owned(),
            },
        ],
        tools: vec![Tool {
            name: "yosys".to_owned(),
            version: "0.23".to_owned(),
        }],
    });
}
