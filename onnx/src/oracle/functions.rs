//! Functions of one value that onnxruntime has no exact kernel for doubles for, in those that it has.

use super::emit::Emit;
use crate::node::Node;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The function of a node with one operand `x`, by the name of its operator; none if it is no function, or one that
/// onnxruntime has an exact kernel for.
pub(super) fn function(emit: &mut Emit, node: &Node, x: &str) -> Option<String> {
    let attribute = |name, default| f64::from(node.float(name, default));
    let is_tanh = node.text("approximate", "none") == "tanh";
    Some(match node.proto.op_type() {
        "Celu" => emit.celu(x, attribute("alpha", 1.0)),
        "Elu" => emit.elu(x, attribute("alpha", 1.0)),
        "Erf" => emit.erf(x),
        "FastGelu" => emit.gelu_tanh(x),
        "Gelu" if is_tanh => emit.gelu_tanh(x),
        "Gelu" => emit.gelu(x),
        "HardSigmoid" => emit.hard_sigmoid(x, attribute("alpha", 0.2), attribute("beta", 0.5)),
        "HardSwish" => {
            let y = emit.hard_sigmoid(x, 1.0 / 6.0, 0.5);
            emit.op("Mul", &[x, &y])
        }
        "LeakyRelu" | "QLinearLeakyRelu" => {
            let alpha = emit.double(attribute("alpha", 0.01));
            emit.leaky_relu(x, &alpha)
        }
        "Mish" => {
            let y = emit.softplus(x);
            let y = emit.op("Tanh", &[&y]);
            emit.op("Mul", &[x, &y])
        }
        "QuickGelu" => emit.swish(x, attribute("alpha", 1.702)),
        "Selu" => {
            let y = emit.elu(x, attribute("alpha", 1.673_263_2));
            emit.scaled(&y, attribute("gamma", 1.050_701))
        }
        "Sigmoid" | "QLinearSigmoid" => emit.sigmoid(x),
        "Softplus" => emit.softplus(x),
        "Softsign" => {
            let y = emit.op("Abs", &[x]);
            let y = emit.offset(&y, 1.0);
            emit.op("Div", &[x, &y])
        }
        "Swish" => emit.swish(x, attribute("alpha", 1.0)),
        "ThresholdedRelu" => {
            let alpha = emit.double(attribute("alpha", 1.0));
            let zero = emit.double(0.0);
            let is_above = emit.op("Greater", &[x, &alpha]);
            emit.op("Where", &[&is_above, x, &zero])
        }
        _ => return None,
    })
}

impl Emit {
    fn scaled(&mut self, x: &str, by: f64) -> String {
        let by = self.double(by);
        self.op("Mul", &[x, &by])
    }

    fn offset(&mut self, x: &str, by: f64) -> String {
        let by = self.double(by);
        self.op("Add", &[x, &by])
    }

    /// The parts of the value below and above zero, of which one is zero.
    fn halves(&mut self, x: &str) -> [String; 2] {
        let zero = self.double(0.0);
        ["Min", "Max"].map(|operator| self.op(operator, &[x, &zero]))
    }

    /// `slope * x` below zero, `x` above.
    pub(super) fn leaky_relu(&mut self, x: &str, slope: &str) -> String {
        let [low, high] = self.halves(x);
        let low = self.op("Mul", &[&low, slope]);
        self.op("Add", &[&low, &high])
    }

    fn elu(&mut self, x: &str, alpha: f64) -> String {
        let [low, high] = self.halves(x);
        let y = self.exp_less_one(&low);
        let y = self.scaled(&y, alpha);
        self.op("Add", &[&y, &high])
    }

    fn celu(&mut self, x: &str, alpha: f64) -> String {
        let [low, high] = self.halves(x);
        let y = self.scaled(&low, 1.0 / alpha);
        let y = self.exp_less_one(&y);
        let y = self.scaled(&y, alpha);
        self.op("Add", &[&y, &high])
    }

    /// `exp(x) - 1` as `(exp(x) + 1) tanh(x/2)`, which keeps the digits of a small `x`.
    fn exp_less_one(&mut self, x: &str) -> String {
        let y = self.op("Exp", &[x]);
        let y = self.offset(&y, 1.0);
        let half = self.scaled(x, 0.5);
        let tanh = self.op("Tanh", &[&half]);
        self.op("Mul", &[&y, &tanh])
    }

    /// `exp(min(x, 0)) / (1 + exp(-|x|))`: onnxruntime's own kernel loses the digits of the negative tail.
    fn sigmoid(&mut self, x: &str) -> String {
        let [low, _] = self.halves(x);
        let numerator = self.op("Exp", &[&low]);
        let y = self.op("Abs", &[x]);
        let y = self.op("Neg", &[&y]);
        let y = self.op("Exp", &[&y]);
        let y = self.offset(&y, 1.0);
        self.op("Div", &[&numerator, &y])
    }

    fn hard_sigmoid(&mut self, x: &str, alpha: f64, beta: f64) -> String {
        let y = self.scaled(x, alpha);
        let y = self.offset(&y, beta);
        let [zero, one] = [0.0, 1.0].map(|bound| self.double(bound));
        self.clip(&y, Some(&zero), Some(&one))
    }

    /// `x * sigmoid(alpha * x)`.
    fn swish(&mut self, x: &str, alpha: f64) -> String {
        let y = self.scaled(x, alpha);
        let y = self.sigmoid(&y);
        self.op("Mul", &[x, &y])
    }

    /// `log(1 + exp(x))`, without an exponential of a large number.
    fn softplus(&mut self, x: &str) -> String {
        let [_, high] = self.halves(x);
        let y = self.op("Abs", &[x]);
        let y = self.op("Neg", &[&y]);
        let y = self.op("Exp", &[&y]);
        let y = self.offset(&y, 1.0);
        let y = self.op("Log", &[&y]);
        self.op("Add", &[&y, &high])
    }

    fn gelu(&mut self, x: &str) -> String {
        let y = self.scaled(x, -FRAC_1_SQRT_2);
        let y = self.erfc(&y);
        let y = self.op("Mul", &[x, &y]);
        self.scaled(&y, 0.5)
    }

    /// `x/2 (1 + tanh(t))` as `x sigmoid(2t)`, which keeps the digits of the negative tail.
    fn gelu_tanh(&mut self, x: &str) -> String {
        let y = self.op("Mul", &[x, x]);
        let y = self.scaled(&y, 0.044715);
        let y = self.offset(&y, 1.0);
        let y = self.op("Mul", &[x, &y]);
        let y = self.scaled(&y, 2.0 * (2.0 / PI).sqrt());
        let y = self.sigmoid(&y);
        self.op("Mul", &[x, &y])
    }

    /// `1 - erfc(|x|)` with the sign of `x`.
    fn erf(&mut self, x: &str) -> String {
        let y = self.op("Abs", &[x]);
        let y = self.erfc_of_positive(&y);
        let one = self.double(1.0);
        let y = self.op("Sub", &[&one, &y]);
        let sign = self.op("Sign", &[x]);
        self.op("Mul", &[&sign, &y])
    }

    /// `1 - sign(x) (1 - erfc(|x|))`, written so that positive `x` keep the digits of a small result.
    fn erfc(&mut self, x: &str) -> String {
        let y = self.op("Abs", &[x]);
        let tail = self.erfc_of_positive(&y);
        let two = self.double(2.0);
        let rest = self.op("Sub", &[&two, &tail]);
        let zero = self.double(0.0);
        let is_negative = self.op("Less", &[x, &zero]);
        self.op("Where", &[&is_negative, &rest, &tail])
    }

    /// The midpoint rule of step `h` for `erfc(x) = 2x/pi exp(-x^2) integral of exp(-t^2) / (x^2 + t^2) over t > 0`, which
    /// for this integrand is off by a pole that has a closed form, and by `exp(-(pi/h)^2)`, 7e-18 here
    /// (Chiarella and Reichel 1968; Hunter and Regan 1972). Past 11, `erfc` is nothing in 32 bits.
    fn erfc_of_positive(&mut self, x: &str) -> String {
        const H: f64 = 0.5;
        /// Where `exp(-t^2)` is below 1e-17.
        const N: usize = 13;
        let [zero, eleven] = [0.0, 11.0].map(|bound| self.double(bound));
        let x = &self.clip(x, Some(&zero), Some(&eleven));
        let square = self.op("Mul", &[x, x]);
        let mut sum: Option<String> = None;
        for n in 0..N {
            let t = H * (n as f64 + 0.5);
            let below = self.offset(&square, t * t);
            let weight = self.double(libm::exp(-t * t));
            let term = self.op("Div", &[&weight, &below]);
            sum = Some(match sum {
                Some(sum) => self.op("Add", &[&sum, &term]),
                None => term,
            });
        }
        let sum = sum.expect("there are terms");
        let y = self.op("Neg", &[&square]);
        let y = self.op("Exp", &[&y]);
        let y = self.op("Mul", &[&y, x]);
        let y = self.op("Mul", &[&y, &sum]);
        let y = self.scaled(&y, 2.0 * H / PI);
        // 2 / (1 + exp(2 pi x / h))
        let pole = self.scaled(x, -2.0 * PI / H);
        let pole = self.sigmoid(&pole);
        let pole = self.scaled(&pole, 2.0);
        self.op("Add", &[&y, &pole])
    }
}
