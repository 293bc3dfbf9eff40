//! Tables in Markdown, and the places in a text that they are put into:
//!
//! ```text
//! <!-- table: hours -->
//! ...                      all between is replaced
//! <!-- end -->
//! ```

/// A table with a name.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: &'static str,
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    #[must_use]
    pub fn new(name: &'static str, heads: &[&str]) -> Table {
        Table {
            name,
            heads: heads.iter().map(|head| (*head).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    #[must_use]
    pub fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> = self.heads.iter().map(|_| "---".to_owned()).collect();
        let rows = self.rows.iter().map(|row| line(row));
        let head = [line(&self.heads), line(&rule)];
        head.into_iter().chain(rows).collect()
    }

    /// The text with this table in its place; `None` if it has none.
    #[must_use]
    pub fn fill(&self, text: &str) -> Option<String> {
        let opening = format!("<!-- table: {} -->\n", self.name);
        let (before, rest) = text.split_once(&opening)?;
        let (_, after) = rest.split_once("<!-- end -->")?;
        let table = self.to_markdown();
        Some(format!("{before}{opening}{table}<!-- end -->{after}"))
    }
}

/// A whole number as people write it: with commas.
#[must_use]
pub fn number(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let negative = value < 0.0 && digits != "0";
    if negative { format!("-{text}") } else { text }
}

/// A time in seconds, as exact as it matters.
#[must_use]
pub fn seconds(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.1} s"),
        value => format!("{value:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("some", &["a", "b"]);
        table.row(vec!["1".to_owned(), "2".to_owned()]);
        table
    }

    #[test]
    fn a_table_takes_the_place_of_what_stood_there() {
        let text = "x\n<!-- table: some -->\nold\n<!-- end -->\ny";
        let once = table().fill(text).unwrap();
        assert_eq!(
            once,
            "x\n<!-- table: some -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n<!-- end -->\ny"
        );
        assert_eq!(table().fill(&once), Some(once));
        assert_eq!(table().fill("<!-- table: other -->\n<!-- end -->"), None);
    }

    #[test]
    fn numbers_have_commas_and_times_no_more_digits_than_matter() {
        let whole = [0.0, 999.4, 1000.0, 1234567.0, -1500.0, -0.2].map(number);
        assert_eq!(whole, ["0", "999", "1,000", "1,234,567", "-1,500", "0"]);
        assert_eq!([4.06, 95.5].map(seconds), ["4.1 s", "96 s"]);
    }
}
