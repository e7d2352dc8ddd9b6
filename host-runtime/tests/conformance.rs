//! One suite for all devices. A device that is not here is skipped, with the reason.

mod common;

use std::time::Duration;

use common::pool;
use host_runtime::verify::{Options, Variant, verify};
use host_runtime::{Artifact, Device, Error, Machine, Settings, TimeBase, devices};
use hw::flow::skip_test;
use ir::memory::MemoryModel;

/// Runs `check` on every device that is here.
fn each_device(settings: Settings, check: impl Fn(&dyn Device, &Artifact)) {
    let artifact = pool::artifact(&common::small_dot());
    for device in devices(settings) {
        match device.load(&artifact) {
            Err(error @ Error::Unavailable { .. }) => skip_test(&error.to_string()),
            Err(error) => panic!("{}: {error}", device.name()),
            Ok(session) => {
                assert_eq!(session.name(), device.name());
                check(device.as_ref(), &artifact);
            }
        }
    }
}

#[test]
fn outputs_equal_the_reference_for_one_image_after_the_other() {
    for memory in [MemoryModel::Ideal, MemoryModel::M1, MemoryModel::M2] {
        each_device(
            Settings {
                memory,
                ..Settings::default()
            },
            |device, artifact| {
                let mut session = device.load(artifact).unwrap();
                let mut cycles = None;
                for seed in 0..3 {
                    let inputs = pool::image(seed);
                    let expected = artifact.network.reference(&inputs).unwrap();
                    let outcome = session.run(&inputs).unwrap();
                    assert_eq!(
                        outcome.outputs,
                        [expected[1].clone()],
                        "{} {memory:?}",
                        device.name()
                    );
                    assert_eq!(outcome.cycles.is_some(), outcome.time != TimeBase::None);
                    assert!(outcome.spans.is_none_or(|spans| spans.len() == 3));
                    // Nothing depends on data.
                    assert_eq!(*cycles.get_or_insert(outcome.cycles), outcome.cycles);
                }
            },
        );
    }
}

#[test]
fn submit_poll_and_wait_keep_their_order() {
    each_device(Settings::default(), |device, artifact| {
        let mut session = device.load(artifact).unwrap();
        assert!(matches!(session.poll(), Err(Error::Order { .. })));
        session.submit(&pool::image(1)).unwrap();
        assert!(matches!(
            session.submit(&pool::image(2)),
            Err(Error::Order { .. })
        ));
        assert!(session.wait(Duration::from_secs(60)).is_ok());
        assert!(matches!(session.poll(), Err(Error::Order { .. })));
    });
}

#[test]
fn wrong_inputs_are_refused_and_harmless() {
    each_device(Settings::default(), |device, artifact| {
        let mut session = device.load(artifact).unwrap();
        assert!(matches!(session.run(&[]), Err(Error::Network(_))));
        assert!(matches!(
            session.run(&[vec![0; 79]]),
            Err(Error::Network(_))
        ));
        assert!(session.run(&pool::image(1)).is_ok());
    });
}

#[test]
fn program_for_another_arch_is_refused() {
    each_device(Settings::default(), |device, artifact| {
        let mut other = artifact.clone();
        other.arch.clock_hz += 1;
        assert!(matches!(device.load(&other), Err(Error::Program(_))));
    });
}

#[test]
fn run_beyond_the_cycle_limit_is_stopped_and_the_session_lives() {
    each_device(
        Settings {
            cycle_limit: 30,
            ..Settings::default()
        },
        |device, artifact| {
            let mut session = device.load(artifact).unwrap();
            for _ in 0..2 {
                match (device.name(), session.run(&pool::image(1))) {
                    ("reference", result) => assert!(result.is_ok()),
                    (name, Err(Error::Timeout { device, state, .. })) => {
                        assert_eq!(name, device);
                        assert!(
                            name != "rtl"
                                || state.contains("load signalled 0 of 1 run instructions"),
                            "{state}"
                        );
                    }
                    (name, result) => panic!("{name}: {result:?}"),
                }
            }
        },
    );
}

#[test]
fn devices_agree_in_everything() {
    let arch = common::small_dot();
    let artifact = pool::artifact(&arch);
    let images: Vec<_> = (0..3).map(pool::image).collect();
    let machine = host_runtime::RtlMachine::of(&arch, host_runtime::verilated::Optimise::Full);
    let options = Options {
        models: &[MemoryModel::Ideal, MemoryModel::M1, MemoryModel::M2],
        images: &images,
        machines: vec![(
            "rtl",
            machine.map(|machine| Box::new(machine) as Box<dyn Machine>),
        )],
        cycle_limit: 1_000_000,
    };
    let result = verify::<Error>(&artifact.network, &arch, options, |_: Variant| {
        Ok(artifact.program.clone())
    })
    .unwrap();
    result
        .skipped
        .iter()
        .for_each(|skipped| skip_test(&skipped.reason));
    assert!(result.agrees(), "{}", result.first.unwrap());
    assert_eq!(result.configs.len(), 6);
    assert!(
        result
            .configs
            .iter()
            .all(|config| config.cycles.len() == 3 && config.values_compared > 0)
    );
}
