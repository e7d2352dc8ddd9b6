//! The generated packages: every number that the cells share with simulator and compiler.

use std::fmt::Write as _;

use ir::Arch;
use ir::arch::{Attachment, Counters, Dataflow, Reduction, clog2};
use ir::isa::{CONFIGURE_OPCODE, Engine, Opcode, Register};

/// Bits of a loop bound or coordinate that the instruction set can say.
fn field_bits(register: Register, name: &str) -> u32 {
    let field = register.fields().iter().find(|field| field.name == name);
    field.expect("a field of the register").width
}

/// A package `name`; what `purpose` says stays in its comment.
fn package(name: &str, purpose: &str, items: &[(String, String)]) -> String {
    // A package is a dictionary: no design uses every word of it.
    let purpose = ir::text::comment(purpose);
    let mut text = format!(
        "/// {purpose}\n///\n/// Generated; do not edit.\n/* verilator lint_off UNUSEDPARAM */\npackage {name};\n"
    );
    for (name, value) in items {
        writeln!(text, "  localparam int {name} = {value};").expect("writing to a string");
    }
    text + "endpackage\n/* verilator lint_on UNUSEDPARAM */\n"
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}

/// `isa_pkg`: opcodes, registers, and the position of every field.
pub(super) fn isa() -> String {
    let mut items = vec![];
    let layout = [
        ("Opcode", 28),
        ("Register", 22),
        ("Wait0", 21),
        ("Wait1", 14),
        ("Signal0", 9),
        ("Signal1", 4),
    ];
    items.extend(layout.map(|(name, lsb)| (format!("{name}Lsb"), lsb.to_string())));
    for opcode in Opcode::ALL {
        items.push((
            format!("Op{}", camel(opcode.name())),
            format!("4'd{}", *opcode as u32),
        ));
        for (bit, flag) in opcode.flags().iter().enumerate() {
            items.push((
                format!("{}Flag{}", camel(opcode.name()), camel(flag)),
                bit.to_string(),
            ));
        }
    }
    for engine in Engine::ALL {
        let code = CONFIGURE_OPCODE + engine.index() as u32;
        items.push((
            format!("OpConfigure{}", camel(engine.name())),
            format!("4'd{code}"),
        ));
    }
    for register in Register::ALL {
        let name = camel(register.engine().name()) + &camel(register.name());
        items.push((name.clone(), format!("6'd{}", register.index())));
        for field in register.fields() {
            items.push((
                format!("{name}{}Lsb", camel(field.name)),
                field.lsb.to_string(),
            ));
        }
    }
    let typed = package(
        "isa_pkg",
        "The instruction set: opcodes, registers, positions of fields.",
        &items,
    );
    // Codes have the width of their field, positions are plain integers.
    typed
        .lines()
        .map(|line| match line.find("'d") {
            Some(at) => {
                let width: u32 = line[..at]
                    .rsplit(' ')
                    .next()
                    .and_then(|w| w.parse().ok())
                    .expect("a sized number");
                line.replacen(
                    "localparam int",
                    &format!("localparam logic [{}:0]", width - 1),
                    1,
                ) + "\n"
            }
            None => line.to_owned() + "\n",
        })
        .collect()
}

/// `arch_pkg`: the numbers of one Arch.
pub(super) fn arch(arch: &Arch) -> String {
    let flag = |set: bool| u32::from(set);
    let array = &arch.array;
    let column_words = arch.weights.words / array.cols;
    let groups = arch.parameters.channels / arch.vector.requantise_lanes;
    let memory_bits = clog2(arch.memory.words);
    let pixel_bits = clog2(arch.accumulators.pixels);
    let coord_bits = field_bits(Register::ExecOrigin, "x");
    let kernel_bits = field_bits(Register::ExecReduction, "kernel_x");
    let block_bits = field_bits(Register::ExecReduction, "blocks");
    let local_bits = arch
        .activation_addr_bits()
        .max(clog2(arch.weights.words))
        .max(clog2(arch.parameter_words(arch.parameters.channels)))
        .max(clog2(arch.table_words()));
    let has_source = arch.vector.max_pool || arch.vector.table_lanes > 0 || arch.vector.pack;
    let counters = if arch.counters == Counters::Full {
        20
    } else {
        1
    };
    let exec_min_step = arch.exec_step_cycles(1);
    let numbers: Vec<(&str, u64)> = vec![
        ("WordBits", u64::from(arch.word_bytes() * 8)),
        ("Rows", array.rows.into()),
        ("Cols", array.cols.into()),
        (
            "Systolic",
            flag(array.reduction == Reduction::Systolic).into(),
        ),
        (
            "WeightStationary",
            flag(arch.has(Dataflow::WeightStationary)).into(),
        ),
        (
            "OutputStationary",
            flag(arch.has(Dataflow::OutputStationary)).into(),
        ),
        ("WholeTiles", flag(arch.reads_whole_tiles()).into()),
        ("ExecFill", arch.exec_fill_cycles()),
        ("ExecMinStep", exec_min_step),
        ("ExecDrain", arch.exec_drain_cycles()),
        (
            "MemoryOnChip",
            flag(arch.memory.attachment == Attachment::OnChip).into(),
        ),
        ("MemoryAddrWidth", memory_bits.into()),
        ("CountWidth", memory_bits.min(20).into()),
        ("BurstWords", arch.memory.burst_words.into()),
        ("BurstLenWidth", (clog2(arch.memory.burst_words) + 1).into()),
        ("FetchChunkWords", arch.fetch.chunk_words.into()),
        ("FetchChunks", arch.fetch.chunks.into()),
        ("QueueDepth", arch.queues.depth.into()),
        ("Semaphores", arch.semaphores.count.into()),
        ("SemaphoreBits", arch.semaphores.bits.into()),
        ("LoadOutstanding", arch.load.outstanding.into()),
        ("Banks", arch.activations.banks.into()),
        ("BankWords", arch.activations.words.into()),
        ("ActivationAddrWidth", arch.activation_addr_bits().into()),
        ("WeightWords", arch.weights.words.into()),
        ("WeightAddrWidth", clog2(arch.weights.words).into()),
        ("TileWidth", clog2(column_words).into()),
        ("ParameterChannels", arch.parameters.channels.into()),
        (
            "ParameterAddrWidth",
            clog2(arch.parameter_words(arch.parameters.channels)).into(),
        ),
        ("GroupWidth", clog2(groups).into()),
        ("AccPixels", arch.accumulators.pixels.into()),
        ("PixelAddrWidth", pixel_bits.into()),
        ("CoordWidth", coord_bits.into()),
        ("KernelWidth", kernel_bits.into()),
        ("BlockWidth", block_bits.into()),
        ("LocalAddrWidth", local_bits.into()),
        ("ExecPixelWidth", (pixel_bits + 1).min(coord_bits).into()),
        (
            "VecPixelWidth",
            if has_source {
                coord_bits
            } else {
                (pixel_bits + 1).min(coord_bits)
            }
            .into(),
        ),
        ("Lanes", arch.vector.requantise_lanes.into()),
        ("RequantiseInterval", arch.vector.requantise_interval.into()),
        ("MaxPool", flag(arch.vector.max_pool).into()),
        ("TableLanes", arch.vector.table_lanes.into()),
        ("Pack", flag(arch.vector.pack).into()),
        ("TableAddrWidth", clog2(arch.table_words()).into()),
        ("CountersFull", flag(arch.counters == Counters::Full).into()),
        ("Counters", counters),
    ];
    let items: Vec<_> = numbers
        .into_iter()
        .map(|(n, v)| (n.to_owned(), v.to_string()))
        .collect();
    let text = package(
        "arch_pkg",
        &format!("The numbers of arch `{}`: {}.", arch.name, arch.description),
        &items,
    );
    text.replace(
        "endpackage",
        &format!(
            "  localparam logic [63:0] ArchHash = 64'h{:016x};\nendpackage",
            arch.hash()
        ),
    )
}
