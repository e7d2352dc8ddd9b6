//! Small programs in assembly text, from memory to memory, against plain loops.

mod common;

use common::{Numbers, dot, edge, nano, program, run};
use ir::arch::Arch;
use ir::isa::Engine;
use ir::numerics::{Clamp, Requantise};
use ir::op::Add;

/// The deltas of nested loops, innermost first as `(bound, stride)`: the stride less what the loops inside walked.
fn deltas<const N: usize>(loops: [(i64, i64); N]) -> [i64; N] {
    let mut inside = 0;
    loops.map(|(bound, stride)| {
        let delta = stride - inside;
        inside += stride * (bound - 1);
        delta
    })
}

/// A 3x3 convolution with padding 1 of `[2 blocks][5][6]`, one tile of output channels.
struct Conv<'a> {
    arch: &'a Arch,
    output_stationary: bool,
    stride: i64,
    dilation: i64,
    /// Blocks of the second EXEC, which accumulates; 0 for a single EXEC.
    split: bool,
}

const HEIGHT: i64 = 5;
const WIDTH: i64 = 6;
const BLOCKS: i64 = 2;
const PADDING: i8 = -7;
const ZERO_POINT: i8 = 5;
const CLAMP: Clamp = Clamp { lo: -100, hi: 90 };

impl Conv<'_> {
    fn out(&self, size: i64) -> i64 {
        (size + 2 - 2 * self.dilation - 1) / self.stride + 1
    }

    fn text(&self, weights_word: u32, parameters_word: u32, cols: u32) -> String {
        let (nx, ny) = (self.out(WIDTH), self.out(HEIGHT));
        let (stride, dilation) = (self.stride, self.dilation);
        let row = BLOCKS * WIDTH;
        let blocks = if self.split { 1 } else { BLOCKS };
        let kx = (3, dilation);
        let ky = (3, dilation * row);
        let block = (blocks, WIDTH);
        let (x, y) = ((nx, stride), (ny, stride * row));
        let [dkx, dky, db, dx, dy] = if self.output_stationary {
            deltas([kx, ky, block, x, y])
        } else {
            let [dx, dy, dkx, dky, db] = deltas([x, y, kx, ky, block]);
            [dkx, dky, db, dx, dy]
        };
        // The input is loaded to word 40, so the first address is below it.
        let source = 40 - row - 1;
        let run = match (self.output_stationary, self.split) {
            (true, _) => "exec wait=0:1 signal=1 +half +output".to_owned(),
            (false, false) => "exec wait=0:1 signal=1 +half".to_owned(),
            (false, true) => format!(
                "exec wait=0:1 +half
                 exec.source address={}
                 exec signal=1 +half +accumulate",
                source + WIDTH
            ),
        };
        let input_words = HEIGHT * row;
        let weight_words = 9 * BLOCKS * i64::from(cols);
        let parameter_words = self.arch.parameter_words(cols);
        let input_word = i64::from(weights_word) - input_words;
        let last = self.arch.word_bytes() / cols - 1;
        format!(
            "load.memory address={input_word}
             load.destination address=40 space=0
             load.length words={input_words}
             load
             load.destination address={cols} space=1
             load.length words={weight_words}
             load
             load.memory address={parameters_word}
             load.destination address={parameter_words} space=2
             load.length words={parameter_words}
             load signal=0
             exec.source address={source}
             exec.origin x=-1 y=-1
             exec.extent width={WIDTH} height={HEIGHT}
             exec.step stride_x={stride} stride_y={stride} dilation_x={dilation} dilation_y={dilation}
             exec.reduction kernel_x=3 kernel_y=3 blocks={blocks}
             exec.pixels x={nx} y={ny}
             exec.delta_kernel_x address={dkx}
             exec.delta_kernel_y address={dky}
             exec.delta_block address={db}
             exec.delta_x address={dx}
             exec.delta_y address={dy}
             exec.padding value={PADDING}
             exec.weights tile=1
             {run}
             vec.destination address={}
             vec.group group={last}
             vec.pixels x={nx} y={ny}
             vec.destination_delta_y address=2
             vec.parameters group={}
             vec.clamp low={} high={} dropped=0
             vec.zero_point value={ZERO_POINT}
             requantise wait=1:1 signal=2 +half
             store.source address={}
             store.memory address={}
             store.length words={}
             store wait=2:1",
            // One row of `nx` words and one word left free.
            self.arch.activations.words,
            cols / self.arch.vector.requantise_lanes * (self.arch.parameter_words(cols) * self.arch.word_bytes() / 8) / cols,
            CLAMP.lo,
            CLAMP.hi,
            self.arch.activations.words,
            i64::from(parameters_word) + i64::from(parameter_words),
            (nx + 1) * ny,
        )
    }

    #[track_caller]
    fn check(&self) {
        let rows = self.arch.word_bytes() as i64;
        let cols = i64::from(self.arch.array.cols);
        let mut numbers = Numbers(self.stride as u64 * 3 + self.dilation as u64);
        let input = numbers.bytes((HEIGHT * BLOCKS * WIDTH * rows) as usize);
        let weights = numbers.bytes((9 * BLOCKS * cols * rows) as usize);
        let scales: Vec<(i32, Requantise)> = (0..cols)
            .map(|c| {
                let scale = 0.0005 + 0.0001 * c as f32;
                (
                    numbers.below(20000) as i32 - 10000,
                    Requantise::from_scale(scale).expect("small"),
                )
            })
            .collect();
        let mut data = [input.clone(), weights.clone()].concat();
        for (bias, scale) in &scales {
            data.extend(bias.to_le_bytes());
            data.extend(&scale.mantissa.to_le_bytes()[..3]);
            data.push(scale.shift);
        }

        let empty = self.text(0, 0, cols as u32);
        let n = empty.lines().count();
        let first = ir::program::instruction_words(self.arch, n);
        let weights_word = first + (HEIGHT * BLOCKS * WIDTH) as u32;
        let parameters_word = weights_word + (9 * BLOCKS * cols) as u32;
        let text = self.text(weights_word, parameters_word, cols as u32);
        let semaphores = [
            (Engine::Load, Engine::Exec),
            (Engine::Exec, Engine::Vec),
            (Engine::Vec, Engine::Store),
        ];
        let program = program(self.arch, &semaphores, &text, &data);
        assert_eq!(program.constants_word, first);
        let (_, memory) = run(self.arch, &program);

        let output_word = parameters_word + self.arch.parameter_words(cols as u32);
        let (nx, ny) = (self.out(WIDTH), self.out(HEIGHT));
        let at = |values: &[u8], word: i64, lane: i64| values[(word * rows + lane) as usize] as i8;
        for (y, x, c) in positions(ny, nx, cols) {
            let mut sum = 0i32;
            for (ky, kx, channel) in positions(3, 3, BLOCKS * rows) {
                let (iy, ix) = (
                    y * self.stride + ky * self.dilation - 1,
                    x * self.stride + kx * self.dilation - 1,
                );
                let (block, lane) = (channel / rows, channel % rows);
                let inside = (0..HEIGHT).contains(&iy) && (0..WIDTH).contains(&ix);
                let value = if inside {
                    at(&input, (iy * BLOCKS + block) * WIDTH + ix, lane)
                } else {
                    PADDING
                };
                let weight = at(&weights, ((block * 3 + ky) * 3 + kx) * cols + c, lane);
                sum += i32::from(value) * i32::from(weight);
            }
            let (bias, scale) = scales[c as usize];
            let expected = scale.apply(sum + bias, ZERO_POINT, CLAMP);
            let word = i64::from(output_word) + y * (nx + 1) + x;
            let got = at(&memory, word, rows - cols + c);
            assert_eq!(got, expected, "pixel {y} {x} channel {c}");
        }
    }
}

fn positions(a: i64, b: i64, c: i64) -> impl Iterator<Item = (i64, i64, i64)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

#[test]
fn convolution_weight_stationary() {
    for arch in [edge(), dot()] {
        for (stride, dilation, split) in [(1, 1, false), (2, 1, true), (1, 2, true)] {
            Conv {
                arch: &arch,
                output_stationary: false,
                stride,
                dilation,
                split,
            }
            .check();
        }
    }
}

#[test]
fn convolution_output_stationary() {
    for arch in [nano(), dot()] {
        for (stride, dilation) in [(1, 1), (2, 1), (2, 2)] {
            Conv {
                arch: &arch,
                output_stationary: true,
                stride,
                dilation,
                split: false,
            }
            .check();
        }
    }
}

/// Max-pool 3x3 with stride 2 and padding 1 of `[2 blocks][5][6]`, then the sum of two words, then a table.
#[test]
fn vector_operations() {
    let arch = edge();
    let (rows, row) = (16, BLOCKS * WIDTH);
    let mut numbers = Numbers(9);
    let input = numbers.bytes((HEIGHT * row * rows) as usize);
    let tables: Vec<i32> = (0..512)
        .map(|_| numbers.below(200 << 20) as i32 - (100 << 20))
        .collect();
    let data = [
        input.clone(),
        tables.iter().flat_map(|t| t.to_le_bytes()).collect(),
    ]
    .concat();

    let (nx, ny) = (3, 3);
    let [dkx, dky, dx, db, dy] =
        deltas([(3, 1), (3, row), (nx, 2), (BLOCKS, WIDTH), (ny, 2 * row)]);
    // Bank 0: the input. Bank 1: the pool as [y][block][x]. Bank 2: sums of rows y and y + 1. Bank 3: the table of it.
    let text = |input_word: u32| {
        let tables_word = input_word + (HEIGHT * row) as u32;
        format!(
            "load.memory address={input_word}
             load.destination address=0 space=0
             load.length words={}
             load
             load.destination address=0 space=3
             load.length words=128
             load signal=0
             vec.source address={}
             vec.origin x=-1 y=-1
             vec.extent width={WIDTH} height={HEIGHT}
             vec.step stride_x=2 stride_y=2 dilation_x=1 dilation_y=1
             vec.window kernel_x=3 kernel_y=3 blocks=2
             vec.delta_kernel_x address={dkx}
             vec.delta_kernel_y address={dky}
             vec.delta_x address={dx}
             vec.delta_block address={db}
             vec.delta_y address={dy}
             vec.pixels x={nx} y={ny}
             vec.destination address=2048
             vec.destination_delta_block address=1
             vec.destination_delta_y address=1
             max_pool wait=0:1
             vec.pixels x=6 y=2
             vec.source address=2048
             vec.source_b address=2054
             vec.delta_x address=1
             vec.delta_y address=1
             vec.destination address=4096
             vec.clamp low=-120 high=119 dropped=3
             lookup +pair
             vec.pixels x=4 y=3
             vec.source address=4096
             vec.destination address=6144
             lookup signal=1
             store.source address=4096
             store.memory address={}
             store.length words=12
             store wait=1:1
             store.source address=6144
             store",
            HEIGHT * row,
            // One row and one column before the first word, in an address space of 8 banks.
            8 * 2048 - row - 1,
            tables_word + 128,
        )
    };
    let n = text(0).lines().count();
    let input_word = ir::program::instruction_words(&arch, n);
    let program = program(
        &arch,
        &[(Engine::Load, Engine::Vec), (Engine::Vec, Engine::Store)],
        &text(input_word),
        &data,
    );
    assert_eq!(program.constants_word, input_word);
    let (_, memory) = run(&arch, &program);

    let pool = |y: i64, block: i64, x: i64, lane: i64| {
        let taps = positions(3, 3, 1).map(|(ky, kx, _)| (2 * y + ky - 1, 2 * x + kx - 1));
        let inside = taps.filter(|(y, x)| (0..HEIGHT).contains(y) && (0..WIDTH).contains(x));
        let value =
            |(y, x)| input[(((y * BLOCKS + block) * WIDTH + x) * rows + lane) as usize] as i8;
        inside.map(value).max().expect("a window meets the input")
    };
    let add = Add {
        tables: [tables[..256].to_vec(), tables[256..].to_vec()].map(signed_order),
        fraction_bits: 17,
        clamp: Clamp { lo: -120, hi: 119 },
    };
    let zero = Add {
        tables: [add.tables[0].clone(), vec![0; 256]],
        ..add
    };
    let output_word = i64::from(input_word) + HEIGHT * row + 128;
    for (y, word, lane) in positions(2, 6, rows) {
        let (block, x) = (word / 3, word % 3);
        let sum = add.apply(pool(y, block, x, lane), pool(y + 1, block, x, lane));
        let at = (output_word + y * 6 + word) * rows + lane;
        assert_eq!(memory[at as usize] as i8, sum, "sum {y} {word} {lane}");
        let at = at + 12 * rows;
        assert_eq!(
            memory[at as usize] as i8,
            zero.apply(sum, 0),
            "table {y} {word} {lane}"
        );
    }
}

/// A table by bits, as the hardware has it, in the order of `ir::op`: -128 first.
fn signed_order(by_bits: Vec<i32>) -> Vec<i32> {
    [&by_bits[128..], &by_bits[..128]].concat()
}

#[test]
fn state_lives_on_between_runs() {
    use sim::{Memory, Simulator};
    let arch = nano();
    let load = program(
        &arch,
        &[],
        "load.memory address=2
         load.destination address=3 space=0
         load.length words=1
         load",
        &[1, 2, 3, 4, 5, 6, 7, 8],
    );
    let store = program(
        &arch,
        &[],
        "store.source address=3
         store.memory address=9
         store.length words=1
         store",
        &[],
    );
    let mut machine = Simulator::new(&arch);
    let mut memory = Memory::default();
    for program in [&load, &store] {
        let checked = program.check(&arch).expect("it ends");
        memory = Memory::of(checked);
        let run = machine.run(checked, &mut memory, ir::MemoryModel::Ideal);
        run.expect("it runs");
    }
    assert_eq!(memory.bytes[72..80], [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// What a machine knows of a program holds for other data, and not for other registers.
#[test]
fn the_same_program_again_is_computed_again() {
    use sim::{Memory, Simulator};
    let arch = nano();
    let load = |data: &[u8]| {
        let text = "load.memory address=2
             load.destination address=0 space=0
             load.length words=2
             load";
        program(&arch, &[], text, data)
    };
    // It does not say from where, and goes on behind the word that it stored last.
    let store = program(
        &arch,
        &[],
        "store.memory address=60
         store.length words=1
         store",
        &[],
    );
    let mut machine = Simulator::new(&arch);
    let mut run = |program: &ir::Program| {
        let checked = program.check(&arch).expect("it ends");
        let mut memory = Memory::of(checked);
        let outcome = machine.run(checked, &mut memory, ir::MemoryModel::M1);
        (outcome.expect("it runs").clone(), memory.bytes)
    };
    let data: Vec<u8> = (0..32).collect();
    let first = run(&load(&data[..16])).0;
    for word in [0..8, 8..16] {
        assert_eq!(run(&store).1[480..488], data[word]);
    }
    let second = run(&load(&data[16..])).0;
    let third = run(&load(&data[16..])).0;
    assert_eq!((&first, &first), (&second, &third));
    // The third word was never loaded.
    assert_eq!(run(&store).1[480..488], [0; 8]);
}
