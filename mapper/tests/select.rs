//! Selections: channels in any order, parts of images, padding and repeated pixels equal the reference on the simulator.

mod common;

use common::{Build, compile_and_verify, preset, random_arch};
use ir::network::TensorId;
use ir::op::{Kind, Positions, Select};

/// A selection that the machine can run: of any channels in one window, or of whole images with repeated pixels.
fn random_select(random: &mut Build, [channels, height, width]: [usize; 3]) -> Select {
    let padding = random.random.next() as i8;
    if random.random.chance(40) {
        let repeated = |random: &mut Build, size: usize| {
            let repeat = random.random.within(1, 3);
            Positions {
                size: size * repeat,
                repeat,
                ..Positions::all(size)
            }
        };
        return Select {
            channels: (0..channels).collect(),
            rows: repeated(random, height),
            columns: repeated(random, width),
            padding,
        };
    }
    let part = |random: &mut Build, size: usize| Positions {
        size: random.random.within(1, size + 3),
        start: random.random.within(0, size) as i32 - 2,
        step: random.random.within(1, 2.min(size)) as i32,
        repeat: 1,
    };
    let n = random.random.within(1, 40);
    Select {
        channels: (0..n)
            .map(|_| random.random.within(0, channels - 1))
            .collect(),
        rows: part(random, height),
        columns: part(random, width),
        padding,
    }
}

fn push(random: &mut Build, input: TensorId) -> TensorId {
    let tensor = random.network.tensor(input).clone();
    let select = random_select(random, tensor.shape());
    let shape = select.output_shape(tensor.shape()).expect("it is sensible");
    let output = random.tensor(shape);
    let made = &mut random.network.tensors[output.index()];
    (made.scale, made.zero_point) = (tensor.scale, tensor.zero_point);
    random.push(Kind::Select(select), &[input], output)
}

#[test]
fn selections_equal_the_reference() {
    let (mut n_run, mut failed) = (0, Vec::new());
    for seed in 0..80 {
        let mut random = Build::new(seed, [1 + seed as usize % 21, 7, 6]);
        let shape = [16, 5, 6];
        let first = random.conv(TensorId(0), shape[0], 1, ir::op::Window::dense([3, 1]));
        let first = first.expect("the window fits");
        let second = push(&mut random, first);
        let window = random.window(random.network.tensor(second).shape());
        random.conv(second, 12, 1, window);
        push(&mut random, second);
        let network = random.finish();
        let arch = match seed % 3 {
            0 => preset("edge"),
            1 => preset("both"),
            _ => random_arch(seed),
        };
        if !mapper::compiles(&network, &arch, &mapper::Hooks::default())
            .problems
            .is_empty()
        {
            continue;
        }
        n_run += 1;
        // With every tensor kept a program may need more semaphores.
        match compile_and_verify(&network, &arch) {
            Err(error) if error.contains("semaphores") => n_run -= 1,
            Err(error) => failed.push(format!("seed {seed}: {error}")),
            Ok(_) => {}
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(n_run >= 40, "{n_run} of 80 ran");
}
