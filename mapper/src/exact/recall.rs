//! What searches that came to their end have found before, from a cache; a file may hold anything, so that is checked.

use ir::tree::Tree;
use ir::workload::{Einsum, Workload};
use serde::{Deserialize, Serialize};

use super::certificate::{Certificate, StopReason};
use super::fuse::Fused;
use super::nest::Nest;
use super::problem::Problem;
use super::search::Point;
use super::{Hooks, Infeasible, Model, Objective, Searched, Sought, cost, search, text};
use crate::cache;

/// What is remembered of the search of an einsum; costs are counted anew.
#[derive(Serialize, Deserialize)]
struct Known {
    nests: Vec<Nest>,
    certificate: Certificate,
}

/// The nests that are wanted of `einsum`, as they are known or as a search finds them.
pub(super) fn points(
    einsum: &Einsum,
    tree: &Tree,
    model: Model,
    sought: Sought,
    hooks: &Hooks,
) -> Searched {
    let key = format!(
        "nests {sought:?} {model:?} tree {:016x} {}",
        tree.hash(),
        einsum.shape()
    );
    let known = cache::get(hooks.cache, &key);
    if let Some(searched) = known.and_then(|known| checked(einsum, tree, model, known)) {
        return Ok(searched);
    }
    let (points, certificate) = search(einsum, tree, model, sought, &mut |n| (hooks.stop)(n))?;
    if certificate.stop == StopReason::Exhausted {
        let nests = points.iter().map(|point| point.nest.clone()).collect();
        let certificate = certificate.clone();
        cache::put(hooks.cache, &key, &Known { nests, certificate });
    }
    Ok((points, certificate))
}

/// The nests with their costs, if they are some of `einsum` on `tree` that fit.
fn checked(
    einsum: &Einsum,
    tree: &Tree,
    model: Model,
    known: Known,
) -> Option<(Vec<Point>, Certificate)> {
    let problem = Problem::new(einsum, tree, model);
    let point = |nest: Nest| {
        if !nest.iter().all(|step| problem.has(step)) {
            return None;
        }
        let mapping = text::mapping(einsum, tree, &nest);
        if text::nest(einsum, tree, &problem, &mapping).ok()? != nest {
            return None;
        }
        let cost = cost::evaluate(&problem, &nest);
        text::check_room(tree, &problem, &cost).ok()?;
        Some(Point { nest, cost })
    };
    let Known { nests, certificate } = known;
    let points: Vec<Point> = nests.into_iter().map(point).collect::<Option<_>>()?;
    let is_proven = certificate.stop == StopReason::Exhausted && !points.is_empty();
    is_proven.then_some((points, certificate))
}

/// The fused schedule of `workload`, as it is known or as `search` finds it.
pub(super) fn fused(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    objective: Objective,
    hooks: &Hooks,
    search: impl FnOnce() -> Result<Option<Fused>, Infeasible>,
) -> Result<Option<Fused>, Infeasible> {
    let key = format!(
        "fused {objective:?} {model:?} tree {:016x} {workload:?}",
        tree.hash()
    );
    let is_proven = |fused: &Fused| fused.certificate.stop == StopReason::Exhausted;
    let known: Option<Fused> = cache::get(hooks.cache, &key);
    if let Some(fused) = known.filter(|known| is_proven(known) && known.is_of(workload)) {
        return Ok(Some(fused));
    }
    let fused = search()?;
    if let Some(fused) = fused.as_ref().filter(|fused| is_proven(fused)) {
        cache::put(hooks.cache, &key, fused);
    }
    Ok(fused)
}
