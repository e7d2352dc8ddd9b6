//! Making einsums of pending results.

use super::{Draft, Walk};
use crate::constant::{count, made};
use crate::error::Reason;
use crate::ops::conv::Affine;
use crate::order::Order;
use crate::value::{ConvDraft, Operand, Pending, PendingOp, Quant, UNLIMITED, View};
use ir::network::{ConstantTensor, Einsum, Tensor, TensorId};
use ir::numerics::{Clamp, Requantise, dequantise};
use ir::op::{
    Add, AveragePool, Concat, Conv, ConvAdd, Kind, MaxPool, Mul, Positions, Select, Table,
    table_values,
};
use std::ops::RangeInclusive;
use std::rc::Rc;

impl Walk<'_> {
    /// Makes an einsum of `pending`, whose output has the name `name` and the scale of `quant`, and gives its view.
    pub(crate) fn emit(
        &mut self,
        pending: &Pending,
        name: &str,
        quant: Quant,
    ) -> Result<View, Reason> {
        pending.check()?;
        // Only what is the file's tensor as it stands there has its name.
        let id = if pending.order.is_identity() {
            self.emit_tensor(pending, name, quant)?
        } else {
            self.emit_tensor(pending, &format!("{name}.reordered"), quant)?
        };
        Ok(View {
            tensor: id,
            shape: pending.shape.clone(),
            order: pending.order.clone(),
        })
    }

    fn emit_tensor(
        &mut self,
        pending: &Pending,
        name: &str,
        quant: Quant,
    ) -> Result<TensorId, Reason> {
        let clamp = quant.clamp(pending.range);
        let y = tensor(name, pending.image, quant);
        let push = |walk: &mut Self, kind, inputs| {
            walk.push(&pending.label, kind, inputs, name, (pending.image, quant))
        };
        match &pending.op {
            PendingOp::Conv(draft) => {
                let (draft, conv) = self.conv(draft, &pending.label, quant, clamp)?;
                push(self, Kind::Conv(conv), vec![draft.input])
            }
            PendingOp::ConvAdd(draft, residual) => {
                let (draft, conv) = self.conv(draft, &pending.label, quant, clamp)?;
                let reals = identity_reals(self.quant_of(*residual)?);
                let residuals = in_steps(&reals, quant);
                let kind = Kind::ConvAdd(ConvAdd { conv, residuals });
                push(self, kind, vec![draft.input, *residual])
            }
            PendingOp::ConvAddConstant(draft, reals) => {
                let (draft, conv) = self.conv(draft, &pending.label, quant, clamp)?;
                let (distinct, codes) = coded(reals)?;
                let constant = self.constant_tensor(name, pending.image, UNIT, codes);
                let residuals = in_steps(&distinct, quant);
                let kind = Kind::ConvAdd(ConvAdd { conv, residuals });
                push(self, kind, vec![draft.input, constant])
            }
            PendingOp::Add([a, b]) => {
                let add = Add::new(&self.tensor(*a), &self.tensor(*b), &y, clamp)?;
                push(self, Kind::Add(add), vec![*a, *b])
            }
            PendingOp::AddConstant(x, reals) => {
                let (add, constant) = self.add_constant(*x, reals, &y, clamp)?;
                push(self, Kind::Add(add), vec![*x, constant])
            }
            PendingOp::Mul([a, b]) => {
                let scale = self.quant_of(*a)?.scale * self.quant_of(*b)?.scale / quant.scale;
                Requantise::from_scale(scale)
                    .map_err(|error| Reason::constant(error.to_string()))?;
                push(self, Kind::Mul(Mul { scale, clamp }), vec![*a, *b])
            }
            PendingOp::AveragePool { x, window, counted } => {
                AveragePool::requantise(self.quant_of(*x)?.scale, quant.scale, 1)?;
                let kind = Kind::AveragePool(AveragePool {
                    window: *window,
                    counted: *counted,
                    clamp,
                });
                push(self, kind, vec![*x])
            }
            PendingOp::Concat(operands) => {
                let (mut inputs, mut tables) = (Vec::new(), Vec::new());
                for (i, operand) in operands.iter().enumerate() {
                    let part = format!("{name}.{i}");
                    let (id, table) = self.part(operand, pending.range, &part, &y, quant)?;
                    inputs.push(id);
                    tables.push(table.values);
                }
                push(self, Kind::Concat(Concat { tables }), inputs)
            }
            PendingOp::MaxPool(x, window) => {
                let kind = |_: Quant| Kind::MaxPool(MaxPool { window: *window });
                self.emit_moved(pending, x, name, quant, kind)
            }
            PendingOp::Select {
                x,
                channels,
                rows,
                columns,
                padding,
            } => {
                let kind = |quant: Quant| {
                    Kind::Select(Select {
                        channels: channels.clone(),
                        rows: *rows,
                        columns: *columns,
                        padding: quant.quantise(padding.clamp(pending.range.0, pending.range.1)),
                    })
                };
                let x = match x {
                    // What lies around the image is rounded once, in the scale of the result.
                    Operand::Tensor(id)
                        if !pending.is_unlimited()
                            || self.drafts[id.index()].quant != Some(quant) =>
                    {
                        &self.copied(pending, *id)
                    }
                    _ => x,
                };
                self.emit_moved(pending, x, name, quant, kind)
            }
            PendingOp::Copy(x) => {
                let table = rescale(&self.tensor(*x), &y, pending.range);
                let is_identity = table.values.iter().copied().eq(table_values())
                    && self.is_unsigned(*x) == quant.unsigned;
                if is_identity && !self.inputs.contains(x) {
                    return Ok(*x);
                }
                push(self, Kind::Table(table), vec![*x])
            }
            PendingOp::Function(x, reals) => {
                let table = tabulated(reals, quant, pending.range);
                push(self, Kind::Table(table), vec![*x])
            }
            PendingOp::Slopes(x, slopes) => self.slopes(pending, *x, slopes, name, quant),
        }
    }

    /// Values below zero times the slope of their channel: the sum of the two halves, of which one is always zero, so
    /// that nothing is rounded twice.
    fn slopes(
        &mut self,
        pending: &Pending,
        x: TensorId,
        slopes: &[f64],
        name: &str,
        quant: Quant,
    ) -> Result<TensorId, Reason> {
        let own = self.quant_of(x)?;
        let reals = identity_reals(own);
        let half = |op| Pending {
            op,
            range: UNLIMITED,
            ..pending.clone()
        };
        let above = reals.iter().map(|real| real.max(0.0)).collect();
        let above = half(PendingOp::Function(x, Rc::new(above)));
        let above = self.emit_tensor(&above, &format!("{name}.above"), quant)?;
        let below = half(PendingOp::Copy(x)).limited((f32::NEG_INFINITY, 0.0));
        let below = self.emit_tensor(&below, &format!("{name}.negative"), own)?;
        let terms: Vec<Affine> = slopes
            .iter()
            .map(|&factor| Affine { factor, added: 0.0 })
            .collect();
        let draft = ConvDraft::scaling(below, own.scale.into(), &terms);
        let below = half(PendingOp::Conv(draft));
        let below = self.emit_tensor(&below, &format!("{name}.below"), quant)?;
        let sum = Pending {
            op: PendingOp::Add([above, below]),
            ..pending.clone()
        };
        self.emit_tensor(&sum, name, quant)
    }

    /// A tensor as a result that takes another scale, before it is moved; one without a scale takes that of the result.
    fn copied(&self, pending: &Pending, id: TensorId) -> Operand {
        if self.drafts[id.index()].quant.is_none() {
            return Operand::Tensor(id);
        }
        let image = self.tensor(id).shape();
        let op = PendingOp::Copy(id);
        Operand::Pending(Rc::new(pending_image(&pending.label, op, image, 4)))
    }

    /// Something that moves values and keeps their scale. Where its operand has no scale yet, that takes the one of the
    /// result; where it has another one, a table behind changes it.
    fn emit_moved(
        &mut self,
        pending: &Pending,
        operand: &Operand,
        name: &str,
        quant: Quant,
        kind: impl Fn(Quant) -> Kind,
    ) -> Result<TensorId, Reason> {
        let (label, image) = (&pending.label, pending.image);
        let x = match operand {
            Operand::Pending(inner) => {
                let inner = inner.limited(pending.range);
                let x = self.emit_tensor(&inner, &format!("{name}.operand"), quant)?;
                return self.push(label, kind(quant), vec![x], name, (image, quant));
            }
            Operand::Tensor(x) => *x,
        };
        if self.drafts[x.index()].quant.is_none() {
            self.set_quant(x, quant)?;
        }
        let own = self.quant_of(x)?;
        if pending.is_unlimited() && own == quant {
            return self.push(label, kind(quant), vec![x], name, (image, quant));
        }
        let moved = format!("{name}.moved");
        let x = self.push(label, kind(own), vec![x], &moved, (image, own))?;
        let copy = Pending {
            op: PendingOp::Copy(x),
            ..pending.clone()
        };
        self.emit_tensor(&copy, name, quant)
    }

    /// The tensor of an operand that is joined with others, and the table that brings it to the scale of `y`.
    fn part(
        &mut self,
        operand: &Operand,
        range: (f32, f32),
        name: &str,
        y: &Tensor,
        quant: Quant,
    ) -> Result<(TensorId, Table), Reason> {
        let pending = match operand {
            Operand::Tensor(x) => return Ok((*x, rescale(&self.tensor(*x), y, range))),
            Operand::Pending(pending) => pending.limited(range),
        };
        Ok(match &pending.op {
            PendingOp::Copy(x) => (*x, rescale(&self.tensor(*x), y, pending.range)),
            PendingOp::Function(x, reals) => (*x, tabulated(reals, quant, pending.range)),
            _ => {
                let x = self.emit_tensor(&pending, name, quant)?;
                (x, rescale(y, y, UNLIMITED))
            }
        })
    }

    /// The scale and zero point in which the values of `pending` are whole steps without being rounded, if there are any.
    pub(crate) fn grid(&self, pending: &Pending) -> Option<Quant> {
        let quant = match &pending.op {
            PendingOp::Copy(x) => self.drafts[x.index()].quant,
            PendingOp::MaxPool(x, _) => self.grid_of(x),
            PendingOp::Select { x, padding, .. } => self
                .grid_of(x)
                .filter(|quant| quant.dequantise(quant.quantise(*padding)) == *padding),
            PendingOp::Concat(operands) => {
                let mut grids = operands.iter().map(|operand| self.grid_of(operand));
                let first = grids.next().flatten();
                if grids.all(|grid| grid == first) {
                    first
                } else {
                    None
                }
            }
            _ => None,
        }?;
        let (least, most) = (quant.dequantise(i8::MIN), quant.dequantise(i8::MAX));
        let is_step = |bound: f32| {
            bound <= least || bound >= most || quant.dequantise(quant.quantise(bound)) == bound
        };
        (is_step(pending.range.0) && is_step(pending.range.1)).then_some(quant)
    }

    fn grid_of(&self, operand: &Operand) -> Option<Quant> {
        match operand {
            Operand::Tensor(id) => self.drafts[id.index()].quant,
            Operand::Pending(pending) => self.grid(pending),
        }
    }

    /// The constants of a convolution whose output has the scale of `quant`.
    ///
    /// Weights of nine bits become two of eight over the same channels, given twice; their draft is returned too.
    fn conv(
        &mut self,
        draft: &ConvDraft,
        label: &str,
        quant: Quant,
        clamp: Clamp,
    ) -> Result<(ConvDraft, Conv), Reason> {
        let input = self.quant_of(draft.input)?;
        let mut draft = draft.clone();
        let per_channel = draft.group_channels * draft.window.n_taps();
        let (mut bias, mut bias_error) = (Vec::with_capacity(draft.out_channels), 0.0);
        for channel in 0..draft.out_channels {
            let error = draft.refine(channel, quant.scale);
            let weights = &draft.weights[channel * per_channel..][..per_channel];
            let sums = reach(weights, input.zero_point);
            let held = draft.bias_of(channel, sums);
            bias.push(match held.filter(|_| error <= BIAS_ERROR_LIMIT) {
                Some(bias) => {
                    bias_error = error.max(bias_error);
                    bias
                }
                // The channel may still be the same everywhere, because its weights are zero or its bias is huge.
                None => {
                    let code = draft.only_code(channel, sums, quant, clamp)?;
                    draft.weights[channel * per_channel..][..per_channel].fill(0);
                    draft.scales[channel] = quant.scale.into();
                    i32::from(code) - i32::from(quant.zero_point)
                }
            });
        }
        let draft = self.of_eight_bits(draft, label)?;
        let weights = draft.int8_weights()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the rule of requantisation is stated in f32"
        )]
        let scale = |&scale: &f64| scale as f32 / quant.scale;
        let scales: Vec<f32> = draft.scales.iter().map(scale).collect();
        if let Some(error) = scales
            .iter()
            .find_map(|&scale| Requantise::from_scale(scale).err())
        {
            return Err(Reason::constant(error.to_string()));
        }
        let conv = Conv {
            out_channels: draft.out_channels,
            group_channels: draft.group_channels,
            groups: draft.groups,
            window: draft.window,
            stretch: draft.stretch,
            weights,
            bias,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is shown with two digits"
            )]
            bias_error: bias_error as f32,
            scales,
            clamp,
        };
        Ok((draft, conv))
    }

    /// The same convolution with weights of eight bits: over an input that has the channels of each group several times,
    /// where weights less their zero points have nine.
    pub(super) fn of_eight_bits(
        &mut self,
        draft: ConvDraft,
        label: &str,
    ) -> Result<ConvDraft, Reason> {
        let (least, most) = (i16::from(i8::MIN), i16::from(i8::MAX));
        let parts = |w: i16| {
            1 + if w < 0 {
                (w + 1) / least
            } else {
                (w - 1) / most
            }
        };
        let is_narrow = |w: &i16| (least..=most).contains(w);
        if draft.weights.iter().all(is_narrow) {
            return Ok(draft);
        }
        let n_parts = draft
            .weights
            .iter()
            .filter(|w| !is_narrow(w))
            .map(|&w| parts(w))
            .max();
        let n_parts = usize::from(n_parts.unwrap_or(1).unsigned_abs());
        made(&[n_parts, draft.groups, draft.group_channels])?;
        let n = draft.group_channels;
        let quant = self.quant_of(draft.input)?;
        let [channels, height, width] = self.tensor(draft.input).shape();
        let repeated = (0..draft.groups).flat_map(|group| {
            let own = group * n..(group + 1) * n;
            std::iter::repeat_n(own, n_parts).flatten()
        });
        let select = Select {
            channels: repeated.collect(),
            rows: Positions::all(height),
            columns: Positions::all(width),
            padding: quant.zero_point,
        };
        let name = format!("{label}.repeated");
        let image = [n_parts * channels, height, width];
        let inputs = vec![draft.input];
        let input = self.push(&name, Kind::Select(select), inputs, &name, (image, quant))?;
        let per_channel = n * draft.window.n_taps();
        let mut weights = Vec::with_capacity(n_parts * draft.weights.len());
        for own in draft.weights.chunks(per_channel) {
            let mut rest = own.to_vec();
            for _ in 0..n_parts {
                let part = rest.iter().map(|w| (*w).clamp(least, most));
                let part: Vec<i16> = part.collect();
                rest.iter_mut()
                    .zip(&part)
                    .for_each(|(rest, part)| *rest -= part);
                weights.extend(part);
            }
        }
        Ok(ConvDraft {
            input,
            group_channels: n_parts * n,
            weights,
            ..draft
        })
    }

    /// The addition of real numbers, one for each value of `x`: a constant tensor whose codes stand for them.
    fn add_constant(
        &mut self,
        x: TensorId,
        reals: &[f64],
        y: &Tensor,
        clamp: Clamp,
    ) -> Result<(Add, TensorId), Reason> {
        let (distinct, codes) = coded(reals)?;
        let steps = |reals: &[f64], offset: i8| -> Vec<f64> {
            let steps = reals.iter().map(|real| real / f64::from(y.scale));
            steps.map(|steps| steps + f64::from(offset)).collect()
        };
        let tables = [
            steps(&identity_reals(self.quant_of(x)?), y.zero_point),
            steps(&distinct, 0),
        ];
        let add =
            Add::of_steps(&tables, clamp).map_err(|error| Reason::constant(error.to_string()))?;
        let image = self.tensor(x).shape();
        let constant = self.constant_tensor(&y.name, image, UNIT, codes);
        Ok((add, constant))
    }

    /// A tensor of given values, called after the result that it is for.
    pub(crate) fn constant_tensor(
        &mut self,
        name: &str,
        image: [usize; 3],
        quant: Quant,
        values: Vec<i8>,
    ) -> TensorId {
        let tensor = self.next_tensor();
        let name = self.unique_tensor(&format!("{name}.constant"));
        self.drafts.push(Draft {
            name,
            image: Some(image),
            quant: Some(quant),
            host: None,
            axes: Vec::new(),
        });
        self.constants.push(ConstantTensor { tensor, values });
        tensor
    }

    /// Appends an einsum and its output tensor.
    pub(crate) fn push(
        &mut self,
        label: &str,
        kind: Kind,
        inputs: Vec<TensorId>,
        name: &str,
        (image, quant): ([usize; 3], Quant),
    ) -> Result<TensorId, Reason> {
        count(&image)?;
        let output = self.next_tensor();
        let draft = Draft {
            name: self.unique_tensor(name),
            image: Some(image),
            quant: Some(quant),
            host: None,
            axes: Vec::new(),
        };
        self.drafts.push(draft);
        self.einsums.push(Einsum {
            name: super::unique(&mut self.einsum_names, label),
            kind,
            inputs,
            output,
        });
        Ok(output)
    }

    /// The tensor of `id` as far as it is known.
    pub(crate) fn tensor(&self, id: TensorId) -> Tensor {
        let draft = &self.drafts[id.index()];
        let image = draft.image.unwrap_or_default();
        Tensor {
            host: draft.host.clone(),
            ..tensor(&draft.name, image, draft.quant.unwrap_or(UNIT))
        }
    }
}

impl Quant {
    /// The real number that an int8 value stands for.
    pub(crate) fn dequantise(&self, value: i8) -> f32 {
        dequantise(value, self.scale, self.zero_point)
    }

    fn clamp(&self, range: (f32, f32)) -> Clamp {
        Clamp {
            lo: self.quantise(range.0),
            hi: self.quantise(range.1),
        }
    }
}

/// The smallest and largest sum of `weights` times what int8 values with `zero_point` can be.
fn reach(weights: &[i16], zero_point: i8) -> (i64, i64) {
    let zero = i64::from(zero_point);
    let (least, most) = (i64::from(i8::MIN) - zero, i64::from(i8::MAX) - zero);
    weights.iter().fold((0, 0), |(low, high), &w| {
        let ends = [i64::from(w) * least, i64::from(w) * most];
        (low + ends[0].min(ends[1]), high + ends[0].max(ends[1]))
    })
}

/// How far a bias in whole steps of the accumulator may be off without a word, in steps of the output.
const BIAS_ERROR: f64 = 1.0 / 1024.0;
/// How far it may be off at all, and is listed.
const BIAS_ERROR_LIMIT: f64 = 1.0 / 16.0;

impl ConvDraft {
    /// Multiplies the weights of a channel where its bias would be off as a whole number of its steps: the steps become
    /// finer, and the sum stays the same. Gives how far the bias is off then, in steps of the output, 0
    /// if that is not worth a word.
    fn refine(&mut self, channel: usize, y_scale: f32) -> f64 {
        let per_channel = self.group_channels * self.window.n_taps();
        let weights = &mut self.weights[channel * per_channel..][..per_channel];
        let largest = weights.iter().map(|w| w.unsigned_abs()).max().unwrap_or(0);
        let bias = self.bias_steps[channel] + self.bias[channel] / self.scales[channel];
        if !bias.is_finite() {
            return 0.0;
        }
        let off = |factor: i16| {
            let steps = bias * f64::from(factor);
            (steps - steps.round_ties_even()).abs() * self.scales[channel]
                / (f64::from(factor) * f64::from(y_scale))
        };
        if off(1) <= BIAS_ERROR {
            return 0.0;
        }
        if largest == 0 {
            return f64::INFINITY;
        }
        let most = |weight: i16| 1..=weight / i16::try_from(largest).unwrap_or(i16::MAX);
        let best =
            |factors: RangeInclusive<i16>| factors.min_by(|&a, &b| off(a).total_cmp(&off(b)));
        let mut factor = best(most(127)).unwrap_or(1);
        // A factor beyond eight bits makes the input be given several times, so it is the last resort.
        if off(factor) > BIAS_ERROR_LIMIT {
            let exact = most(i16::MAX).find(|&factor| off(factor) <= BIAS_ERROR);
            factor = exact.or(best(most(i16::MAX))).unwrap_or(factor);
        }
        let error = off(factor);
        weights.iter_mut().for_each(|weight| *weight *= factor);
        self.bias_steps[channel] *= f64::from(factor);
        self.scales[channel] /= f64::from(factor);
        if error <= BIAS_ERROR { 0.0 } else { error }
    }

    /// The bias of `channel` in whole steps of the accumulator, if no sum that reaches as far as `sums` leaves int32.
    fn bias_of(&self, channel: usize, sums: (i64, i64)) -> Option<i32> {
        let real = self.bias[channel];
        let steps = if real == 0.0 {
            self.bias_steps[channel]
        } else {
            self.bias_steps[channel] + real / self.scales[channel]
        };
        let rounded = steps.round_ties_even();
        (rounded.abs() < 2_f64.powi(31)).then_some(())?;
        #[expect(clippy::cast_possible_truncation, reason = "it is below 2^31")]
        let bias = rounded as i32;
        let within = |sum: i64| i32::try_from(i64::from(bias) + sum).is_ok();
        // With a vanishing scale the steps of the accumulator are lost, and with them the bias.
        let is_kept = self.scales[channel] >= f64::from(f32::MIN_POSITIVE) || real == 0.0;
        (is_kept && within(sums.0) && within(sums.1)).then_some(bias)
    }

    /// The weights, which have eight bits.
    pub(super) fn int8_weights(&self) -> Result<Vec<i8>, Reason> {
        let weights = self.weights.iter().map(|&w| i8::try_from(w));
        weights
            .collect::<Result<_, _>>()
            .map_err(|_| Reason::constant("a weight less its zero point has more than nine bits"))
    }

    /// The code that `channel` has whatever its input, if there is only one.
    fn only_code(
        &self,
        channel: usize,
        sums: (i64, i64),
        quant: Quant,
        clamp: Clamp,
    ) -> Result<i8, Reason> {
        let code = |sum: i64| {
            let steps = sum as f64 + self.bias_steps[channel];
            let real = steps * self.scales[channel] + self.bias[channel];
            code_of(real, quant, clamp)
        };
        let (low, high) = (code(sums.0), code(sums.1));
        if low == high {
            return Ok(low);
        }
        let steps = self.bias_steps[channel] + self.bias[channel] / self.scales[channel];
        if self.bias_of(channel, sums).is_some() {
            return Err(Reason::constant(format!(
                "the bias of channel {channel} is {steps} steps of the accumulator, which holds whole ones, and one is \
                 {:.3} steps of the output",
                self.scales[channel] / f64::from(quant.scale)
            ))
            .help("quantise the bias with the scale of the input times that of the weights, or these with smaller scales"));
        }
        Err(Reason::constant(format!(
            "the sum of channel {channel} leaves int32: its bias is {steps:.0} steps of {:e}, its products reach {} to {}, \
             the limit is 2147483647",
            self.scales[channel], sums.0, sums.1
        ))
        .help("the scale of the input or of the weights is too small for this bias: quantise again with larger ranges"))
    }
}

/// The code of a real number, rounded once, half to even.
fn code_of(real: f64, quant: Quant, clamp: Clamp) -> i8 {
    let steps = (real / f64::from(quant.scale)).round_ties_even();
    // Beyond this every code is at an end of its range.
    #[expect(clippy::cast_possible_truncation, reason = "it is within the limits")]
    let steps = steps.clamp(-1e6, 1e6) as i64;
    clamp.apply(steps + i64::from(quant.zero_point))
}

fn tensor(name: &str, image: [usize; 3], quant: Quant) -> Tensor {
    let [channels, height, width] = image;
    let Quant {
        scale, zero_point, ..
    } = quant;
    Tensor {
        name: name.to_string(),
        channels,
        height,
        width,
        scale,
        zero_point,
        host: None,
    }
}

fn rescale(x: &Tensor, y: &Tensor, range: (f32, f32)) -> Table {
    Table::new(x, y, |value| value.clamp(range.0, range.1))
}

/// The codes of the 256 real results of a function.
fn tabulated(reals: &[f64], quant: Quant, range: (f32, f32)) -> Table {
    let clamp = quant.clamp(range);
    let values = reals.iter().map(|&real| code_of(real, quant, clamp));
    Table {
        values: values.collect(),
    }
}

/// Codes that stand for nothing but themselves.
const UNIT: Quant = Quant {
    scale: 1.0,
    zero_point: 0,
    unsigned: false,
};

/// The different numbers among `reals`, filled up to 256, and for each of `reals` the code of its own.
fn coded(reals: &[f64]) -> Result<(Vec<f64>, Vec<i8>), Reason> {
    let mut distinct = reals.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    if distinct.len() > 256 {
        return Err(Reason::unsupported(format!(
            "the constant has {} different values, one table holds 256",
            distinct.len()
        ))
        .help(
            "quantise the constant to int8, with a QuantizeLinear and DequantizeLinear in front",
        ));
    }
    let codes: Vec<i8> = table_values().collect();
    let code = |real: &f64| codes[distinct.partition_point(|other| other.total_cmp(real).is_lt())];
    let values = reals.iter().map(code).collect();
    distinct.resize(256, 0.0);
    Ok((distinct, values))
}

/// Real numbers in steps of `quant`.
fn in_steps(reals: &[f64], quant: Quant) -> Vec<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the rule of the sum is stated in f32"
    )]
    let steps = |real: &f64| (real / f64::from(quant.scale)) as f32;
    reals.iter().map(steps).collect()
}

/// The real numbers that the 256 values of a tensor stand for.
pub(crate) fn identity_reals(quant: Quant) -> Vec<f64> {
    let real = |value: i8| {
        let steps = i16::from(value) - i16::from(quant.zero_point);
        f64::from(steps) * f64::from(quant.scale)
    };
    table_values().map(real).collect()
}

/// A pending result in the shape and order of its own image.
pub(crate) fn pending_image(label: &str, op: PendingOp, image: [usize; 3], rank: usize) -> Pending {
    let [channels, height, width] = image;
    let shape = if rank == 3 {
        vec![1, channels, width]
    } else {
        vec![1, channels, height, width]
    };
    Pending {
        label: label.to_string(),
        op,
        image,
        shape,
        // A number of values that is too large is refused with the node.
        order: Order::identity(channels.saturating_mul(height).saturating_mul(width)),
        range: UNLIMITED,
    }
}

/// A pending result behind its own name in the graph.
pub(crate) fn pending(result: Pending) -> crate::value::Value {
    crate::value::Value::Pending(Rc::new(result))
}
