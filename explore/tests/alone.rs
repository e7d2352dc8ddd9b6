//! The cost model says what the simulator does, for small networks; `bench/model/run` does the same for the whole zoo.

use std::path::Path;

use explore::alone;
use ir::arch::Arch;
use mapper::Options;

fn preset(name: &str) -> Arch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/archs/{name}.toml"));
    let text = std::fs::read_to_string(path).expect("the preset is there");
    ir::arch::read(name, &text).expect("presets are legal")
}

#[test]
fn the_model_has_no_error_on_small_networks() {
    let options = Options::default();
    for name in ["ds_cnn", "resnet8"] {
        let network = onnx::zoo::build(name, 1).expect("the zoo has it").0;
        for arch in ["nano", "edge", "both"].map(preset) {
            let layers = alone::layers(&network, &arch, &options);
            assert!(layers.iter().flatten().count() >= 10, "{name}");
            for cycles in layers.into_iter().flatten() {
                assert_eq!(cycles.modelled, cycles.simulated, "{name} {}", arch.name);
            }
            if let Ok(compiled) = mapper::compile(&network, &arch, &options) {
                let cycles = alone::cycles(&compiled, &arch, options.memory);
                assert_eq!(cycles.modelled, cycles.simulated, "{name} {}", arch.name);
            }
        }
    }
}
