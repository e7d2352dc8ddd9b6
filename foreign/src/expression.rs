//! What formats write inside a text: arithmetic, sets of tensors, sums of ranks.

use std::iter::Peekable;

use ir::workload::Role;

use crate::table::Names;

/// The deepest nesting of brackets.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Sign(char),
    Power,
    WholeQuotient,
}

/// The tokens of `text`; a name may contain dots.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let unknown = || format!("`{text}` is an expression that is not understood");
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_digit() || first == '.' {
            number_length(rest)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            rest.find(|c| !is_name(c)).unwrap_or(rest.len())
        } else if rest.starts_with("**") || rest.starts_with("//") {
            2
        } else {
            first.len_utf8()
        };
        let (token, tail) = rest.split_at(length);
        tokens.push(match token {
            "**" => Token::Power,
            "//" => Token::WholeQuotient,
            ".inf" | "inf" | ".Inf" | ".INF" => Token::Number(f64::INFINITY),
            _ if first.is_ascii_digit() || first == '.' => {
                Token::Number(token.replace('_', "").parse().map_err(|_| unknown())?)
            }
            _ if first.is_ascii_alphabetic() || first == '_' => Token::Name(token.to_owned()),
            _ if "+-*/%()|&~".contains(first) => Token::Sign(first),
            _ => return Err(unknown()),
        });
        rest = tail.trim_start();
    }
    Ok(tokens)
}

/// The length of the number at the start of `text`: digits, a point, an exponent with a sign.
fn number_length(text: &str) -> usize {
    if text.starts_with(".inf") || text.starts_with(".Inf") || text.starts_with(".INF") {
        return 4;
    }
    let mut before = ' ';
    for (at, symbol) in text.char_indices() {
        let in_exponent = matches!(before, 'e' | 'E') && matches!(symbol, '+' | '-');
        let fits = symbol.is_ascii_digit() || matches!(symbol, '.' | '_' | 'e' | 'E');
        if !fits && !in_exponent {
            return at;
        }
        before = symbol;
    }
    text.len()
}

/// The value of arithmetic: `+ - * / // % **`, brackets, numbers and `names`.
pub(crate) fn number(text: &str, names: &Names<'_>) -> Result<f64, String> {
    let unknown = || format!("`{text}` is more than arithmetic of numbers");
    let mut arithmetic = Arithmetic {
        tokens: tokens(text)?.into_iter().peekable(),
        names,
        depth: 0,
    };
    let value = arithmetic.sum().ok_or_else(unknown)?;
    match arithmetic.tokens.next() {
        None if !value.is_nan() => Ok(value),
        _ => Err(unknown()),
    }
}

struct Arithmetic<'a, T: Iterator<Item = Token>> {
    tokens: Peekable<T>,
    names: &'a Names<'a>,
    depth: usize,
}

impl<T: Iterator<Item = Token>> Arithmetic<'_, T> {
    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product()?;
        loop {
            if self.takes('+') {
                value += self.product()?;
            } else if self.takes('-') {
                value -= self.product()?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.factor()?;
        loop {
            if self.takes('*') {
                value *= self.factor()?;
            } else if self.takes('/') {
                value /= self.factor()?;
            } else if self.takes('%') {
                value = value.rem_euclid(self.factor()?);
            } else if self.tokens.next_if_eq(&Token::WholeQuotient).is_some() {
                value = (value / self.factor()?).floor();
            } else {
                return Some(value);
            }
        }
    }

    fn factor(&mut self) -> Option<f64> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = if self.takes('-') {
            -self.factor()?
        } else {
            let base = self.value()?;
            if self.tokens.next_if_eq(&Token::Power).is_some() {
                power(base, self.factor()?)?
            } else {
                base
            }
        };
        self.depth -= 1;
        Some(value)
    }

    fn value(&mut self) -> Option<f64> {
        match self.tokens.next()? {
            Token::Number(value) => Some(value),
            Token::Name(name) => self.names.get(&name).copied(),
            Token::Sign('(') => {
                let value = self.sum()?;
                self.takes(')').then_some(value)
            }
            _ => None,
        }
    }

    fn takes(&mut self, sign: char) -> bool {
        self.tokens.next_if_eq(&Token::Sign(sign)).is_some()
    }
}

/// `base` to a whole power, by products, which give the same bits on every platform.
fn power(base: f64, exponent: f64) -> Option<f64> {
    if exponent.fract() != 0.0 || exponent.abs() > 1024.0 {
        return None;
    }
    let mut value = 1.0;
    let mut step = 0.0;
    while step < exponent.abs() {
        value *= base;
        step += 1.0;
    }
    Some(if exponent < 0.0 { 1.0 / value } else { value })
}

/// A set of tensors, by what they are to an einsum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Roles(u8);

impl Roles {
    pub(crate) const ALL: Roles = Roles(0b111);
    pub(crate) const NONE: Roles = Roles(0);

    pub(crate) fn of(roles: &[Role]) -> Roles {
        Roles(roles.iter().fold(0, |set, role| set | 1 << *role as u8))
    }

    pub(crate) fn has(self, role: Role) -> bool {
        self.0 >> role as u8 & 1 == 1
    }

    pub(crate) fn to_vec(self) -> Vec<Role> {
        Role::ALL.into_iter().filter(|r| self.has(*r)).collect()
    }

    pub(crate) fn and(self, other: Roles) -> Roles {
        Roles(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Roles) -> Roles {
        Roles(self.0 & !other.0)
    }
}

/// The value of a set expression: `~ & | -`, brackets, and the names that `named` knows.
pub(crate) fn roles(text: &str, named: &dyn Fn(&str) -> Option<Roles>) -> Result<Roles, String> {
    let unknown = || format!("`{text}` is no set of `input`, `weight` and `output`");
    let tokens = tokens(text).map_err(|_| unknown())?;
    let mut sets = Sets {
        tokens: tokens.into_iter().peekable(),
        named,
        depth: 0,
    };
    let value = sets.union().ok_or_else(unknown)?;
    match sets.tokens.next() {
        None => Ok(value),
        Some(_) => Err(unknown()),
    }
}

struct Sets<'a, T: Iterator<Item = Token>> {
    tokens: Peekable<T>,
    named: &'a dyn Fn(&str) -> Option<Roles>,
    depth: usize,
}

impl<T: Iterator<Item = Token>> Sets<'_, T> {
    // As in Python, `|` binds least, then `&`, then `-`, then `~`.
    fn union(&mut self) -> Option<Roles> {
        let mut value = self.intersection()?;
        while self.takes('|') {
            value = value.or(self.intersection()?);
        }
        Some(value)
    }

    fn intersection(&mut self) -> Option<Roles> {
        let mut value = self.difference()?;
        while self.takes('&') {
            value = value.and(self.difference()?);
        }
        Some(value)
    }

    fn difference(&mut self) -> Option<Roles> {
        let mut value = self.one()?;
        while self.takes('-') {
            value = value.without(self.one()?);
        }
        Some(value)
    }

    fn one(&mut self) -> Option<Roles> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = match self.tokens.next()? {
            Token::Sign('~') => Roles::ALL.without(self.one()?),
            Token::Sign('(') => {
                let value = self.union()?;
                self.takes(')').then_some(value)?
            }
            Token::Name(name) => (self.named)(&name)?,
            _ => return None,
        };
        self.depth -= 1;
        Some(value)
    }

    fn takes(&mut self, sign: char) -> bool {
        self.tokens.next_if_eq(&Token::Sign(sign)).is_some()
    }
}

/// The terms of a sum of ranks such as `2*p + r`, with the factor on either side.
pub(crate) fn terms(text: &str) -> Result<Vec<(u64, String)>, String> {
    let unknown = || format!("`{}` is no sum of multiples of ranks", text.trim());
    let term = |term: &str| {
        let parts: Vec<&str> = term.split('*').map(str::trim).collect();
        let (mut factor, mut rank) = (1_u64, None);
        for part in parts {
            match part.parse::<u64>() {
                Ok(number) => factor = factor.checked_mul(number).ok_or_else(unknown)?,
                Err(_) if rank.is_none() && is_name(part) => rank = Some(part.to_owned()),
                Err(_) => return Err(unknown()),
            }
        }
        rank.map(|rank| (factor, rank)).ok_or_else(unknown)
    };
    text.split('+').map(term).collect()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
