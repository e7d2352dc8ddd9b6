//! The reference page of the instruction set, in Markdown.

use crate::fit::Fit;
use std::fmt::Write as _;

use super::{CONFIGURE_OPCODE, Engine, Opcode, Register};

/// The page `docs/reference/isa.md`, made from the tables of this module.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Instruction set\n\nGenerated from `ir/src/isa.rs`; `docs/concepts/isa.md` explains it.\n\n\
         An instruction is 32 bits. Opcode 0 is `nop`; opcodes 1 to 7 run an operation; opcodes 8 to 11 write a register.\n\n\
         | bits | run | configure |\n|---|---|---|\n\
         | 31:28 | opcode | 8 + engine |\n| 27:24 | first wait: semaphore | 27:22 register |\n| 23:21 | first wait: amount, 0 for none | |\n\
         | 20:17 | second wait: semaphore | 21:0 value |\n| 16:14 | second wait: amount, 0 for none | |\n\
         | 13:10 | first signal: semaphore | |\n| 9 | first signal: valid | |\n| 8:5 | second signal: semaphore | |\n\
         | 4 | second signal: valid | |\n| 3:0 | flags | |\n\n## Operations\n\n| opcode | name | engine | flags, from bit 0 | meaning |\n|---|---|---|---|---|\n",
    );
    for opcode in Opcode::ALL {
        let (name, engine, flags) = (
            opcode.name(),
            opcode.engine().name(),
            opcode.flags().join(", "),
        );
        writeln!(
            page,
            "| {} | `{name}` | {engine} | {flags} |{} |",
            *opcode as u32,
            opcode.doc()
        )
        .expect("a string");
    }
    for engine in Engine::ALL {
        let code = CONFIGURE_OPCODE + engine.index().fit::<u32>();
        let name = engine.name();
        write!(page, "\n## Registers of {name} (opcode {code})\n\n| register | name | fields | meaning |\n|---|---|---|---|\n")
            .expect("a string");
        for register in Register::ALL.iter().filter(|r| r.engine() == engine) {
            let fields: Vec<String> = register
                .fields()
                .iter()
                .map(|f| {
                    format!(
                        "`{}` [{}:{}]{}",
                        f.name,
                        f.lsb + f.width - 1,
                        f.lsb,
                        if f.signed { " signed" } else { "" }
                    )
                })
                .collect();
            let (index, name, doc) = (register.index(), register.name(), register.doc());
            writeln!(
                page,
                "| {index} | `{name}` | {} |{doc} |",
                fields.join(", ")
            )
            .expect("a string");
        }
    }
    page
}
