//! Program order: loads move ahead of the step before theirs, and a tile of sums ahead of the requantising of the last.
//!
//! FETCH dispatches in order and stops at a full queue, so what should run early must stand early.
//! An operation only moves past operations that it does not depend on; the meaning of the list stays the same.

use ir::isa::Engine;

use crate::op::{Access, Op, Storage};

/// Brings the operations, given in the order of their meaning, into program order.
pub(crate) fn order(ops: Vec<Op>) -> Vec<Op> {
    sums_ahead(loads_ahead(ops))
}

/// Moves each load up to the start of the step before its own; loads stay in order among themselves.
fn loads_ahead(ops: Vec<Op>) -> Vec<Op> {
    let mut step_start = vec![0usize];
    for (index, op) in ops.iter().enumerate() {
        while step_start.len() <= op.step as usize {
            step_start.push(index);
        }
    }
    let mut keys = Vec::with_capacity(ops.len());
    let mut last_load = 0;
    // What other engines touch of each memory.
    let mut touched: [Vec<(usize, Access)>; Storage::COUNT] = Default::default();
    for (index, op) in ops.iter().enumerate() {
        if op.engine() != Engine::Load {
            keys.push((index, 1));
            for access in &op.accesses {
                touched[access.storage.index()].push((index, *access));
            }
            continue;
        }
        let mut target = step_start[(op.step as usize).saturating_sub(1)].max(last_load);
        for access in &op.accesses {
            let earlier = touched[access.storage.index()].iter().rev();
            let conflict = earlier
                .take_while(|(at, _)| *at >= target)
                .find(|(_, other)| access.depends(other));
            if let Some((at, _)) = conflict {
                target = at + 1;
            }
        }
        last_load = target;
        keys.push((target, 0));
    }
    let mut order: Vec<usize> = (0..ops.len()).collect();
    order.sort_by_key(|&i| (keys[i], i));
    permute(ops, &order)
}

/// Moves each EXEC ahead of one operation of VEC before it, so that the array does not wait for the vector engine.
fn sums_ahead(mut ops: Vec<Op>) -> Vec<Op> {
    for index in 1..ops.len() {
        if ops[index].engine() != Engine::Exec {
            continue;
        }
        let mut at = index;
        let mut target = index;
        while at > 0 && !ops[index].depends(&ops[at - 1]) {
            match ops[at - 1].engine() {
                Engine::Exec => break,
                Engine::Vec if target < index => break,
                Engine::Vec => target = at - 1,
                Engine::Load | Engine::Store => {}
            }
            at -= 1;
        }
        ops[target..=index].rotate_right(1);
    }
    ops
}

fn permute(ops: Vec<Op>, order: &[usize]) -> Vec<Op> {
    let mut slots: Vec<Option<Op>> = ops.into_iter().map(Some).collect();
    order
        .iter()
        .map(|&i| slots[i].take().expect("each index occurs once"))
        .collect()
}
