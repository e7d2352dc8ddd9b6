//! The digits network compiles for the presets, and the program passes its check.

use std::path::Path;

use ir::arch::Arch;
use ir::network::Network;
use mapper::{Options, compile};

fn digits() -> Network {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/networks/digits_int8.onnx");
    onnx::import(&path, &onnx::Options::default()).expect("digits is supported")
}

fn preset(name: &str) -> Arch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/archs/{name}.toml"));
    ir::arch::read(name, &std::fs::read_to_string(path).expect("the preset is there")).expect("presets are legal")
}

#[test]
fn digits_compiles_for_the_presets() {
    for name in ["nano", "edge"] {
        for keep_all in [false, true] {
            let arch = preset(name);
            let compiled = compile(&digits(), &arch, &Options { keep_all, ..Options::default() })
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            compiled.program.check(&arch).expect("a compiled program is sound");
            let predicted: u64 = compiled.layers.iter().filter_map(|l| l.cost).map(|c| c.cycles).sum();
            println!(
                "{name} keep_all={keep_all}: {} instructions, {} semaphores, {predicted} cycles predicted",
                compiled.program.instructions.len(),
                compiled.program.semaphores.len()
            );
            if std::env::var_os("SHOW").is_some() {
                println!("{}", compiled.program.disassembly());
            }
        }
    }
}
