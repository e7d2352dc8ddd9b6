//! Pieces of HTML: escaped text, numbers with their origin, tables.

use super::{Figure, Provenance};

/// `text` with the characters that mean something in HTML and in attribute values replaced.
///
/// What [`ir::text::is_hidden`] is shown as `U+FFFD`: a name must not be able to make the page read differently.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            c => escaped.push(visible(c)),
        }
    }
    escaped
}

/// `c`, or `U+FFFD` for what would change how the text around it reads.
pub(super) fn visible(c: char) -> char {
    if ir::text::is_hidden(c) {
        '\u{fffd}'
    } else {
        c
    }
}

/// A name, a version, a hash: text whose digits are no measurement.
pub(super) fn id(text: &str) -> String {
    format!("<span class=\"id\">{}</span>", escape(text))
}

/// Text that starts a sentence, without its end.
pub(super) fn sentence(text: &str) -> String {
    let mut rest = text.trim_end_matches('.').chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    id(&first.chain(rest).collect::<String>())
}

/// Text in a fixed-width face.
pub(super) fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// A whole number with narrow spaces between groups of three digits.
pub(super) fn whole(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A share in percent, one decimal.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}\u{202f}%", 100.0 * share)
}

/// A number to three significant digits or so, without an exponent.
pub(super) fn short(value: f64) -> String {
    match value {
        v if !v.is_finite() => "\u{221e}".to_owned(),
        v if v >= 1000.0 => whole(v.round() as u64),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A frequency in MHz.
pub(super) fn mhz(hz: u64) -> String {
    let text = format!("{:.2}", hz as f64 / 1e6);
    format!(
        "{}\u{202f}MHz",
        text.trim_end_matches('0').trim_end_matches('.')
    )
}

/// The class of an origin.
pub(super) fn class(provenance: Provenance) -> String {
    format!("prov-{}", provenance.mark())
}

/// A number in running text, with the letter of its origin.
pub(super) fn number(text: &str, provenance: Provenance) -> String {
    let (class, name, mark) = (class(provenance), provenance.name(), provenance.mark());
    format!(
        "<span class=\"n {class}\" title=\"{name}\">{}<sup>{mark}</sup></span>",
        escape(text)
    )
}

/// A whole number in running text, with the letter of its origin.
pub(super) fn figure(figure: Figure<u64>) -> String {
    number(&whole(figure.value), figure.provenance)
}

/// A table under construction.
pub(super) struct Table {
    head: String,
    body: String,
    caption: String,
}

/// A cell of a table.
pub(super) enum Cell {
    /// A name: the head of its row.
    Name(String),
    /// HTML that is no number.
    Text(String),
    /// A number with its origin.
    Number(String, Provenance),
    /// Nothing, with the reason.
    Nothing(&'static str),
}

impl Cell {
    /// A whole number.
    pub(super) fn whole(n: u64, provenance: Provenance) -> Cell {
        Cell::Number(whole(n), provenance)
    }

    /// A name.
    pub(super) fn name(text: &str) -> Cell {
        Cell::Name(id(text))
    }
}

impl Table {
    /// A table with the column heads `head` (HTML), if any; a head that starts with `#` is over numbers.
    pub(super) fn new(caption: &str, head: &[&str]) -> Table {
        let column = |head: &&str| match head.strip_prefix('#') {
            Some(head) => format!("<th scope=\"col\" class=\"n\">{head}</th>"),
            None => format!("<th scope=\"col\">{head}</th>"),
        };
        Table {
            head: head.iter().map(column).collect(),
            body: String::new(),
            caption: caption.to_owned(),
        }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells = cells.into_iter().map(|cell| match cell {
            Cell::Name(html) => format!("<th scope=\"row\">{html}</th>"),
            Cell::Text(html) => format!("<td>{html}</td>"),
            Cell::Number(text, provenance) => {
                let (class, name) = (class(provenance), provenance.name());
                format!(
                    "<td class=\"n {class}\" title=\"{name}\">{}</td>",
                    escape(&text)
                )
            }
            Cell::Nothing(reason) => {
                format!("<td class=\"n none\" title=\"{reason}\">&ndash;</td>")
            }
        });
        self.body += &format!("<tr>{}</tr>\n", cells.collect::<String>());
    }

    /// The table, with the number `n`.
    pub(super) fn html(&self, n: usize) -> String {
        let Table {
            head,
            body,
            caption,
        } = self;
        let kind = if head.is_empty() {
            " class=\"plain\""
        } else {
            ""
        };
        let head = if head.is_empty() {
            String::new()
        } else {
            format!("<thead><tr>{head}</tr></thead>\n")
        };
        format!(
            "<div class=\"table\" role=\"region\" tabindex=\"0\" aria-labelledby=\"t{n}\"><table{kind}>\
             <caption id=\"t{n}\"><b class=\"id\">Table {n}.</b> {caption}</caption>\n\
             {head}<tbody>\n{body}</tbody></table></div>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        for text in ir::text::hostile() {
            let html = escape(&text);
            assert_eq!(ir::text::check(&html.replace('\n', "")), Ok(()));
            assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
        }
    }
}
