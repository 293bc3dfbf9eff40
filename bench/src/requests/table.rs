//! Markdown tables and the numbers in them. Pure.

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

    /// Subject of the table.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self.name {
            "processes" => "Requests of real processes, and of the simulation",
            "hours" => "Requests of a steady hour, simulated",
            "herd" => "Candidates that start together, simulated",
            "takeovers" => "Takeovers, simulated",
            "stagger-limits" => "Takeovers over the stagger, with GitHub's limits, simulated",
            "stagger-free" => "Takeovers over the stagger, without limits, simulated",
            "plan" => "Settings for so many candidates, simulated",
            "plan-locks" => "Settings for several locks of one user, simulated",
            "plan-polls" => "Cost of fewer polls, simulated",
            "plan-free" => "Settings without limits, simulated",
            other => other,
        }
    }

    #[must_use]
    pub fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> = self.heads.iter().map(|_| "---".to_owned()).collect();
        let rows = self.rows.iter().map(|row| line(row));
        let head = [line(&self.heads), line(&rule)];
        head.into_iter().chain(rows).collect()
    }
}

/// Formats a whole number with commas.
#[must_use]
pub fn number(value: f64) -> String {
    // Avoids "-0".
    crate::table::number(value.round() + 0.0)
}

/// Formats a time in seconds with a sensible precision.
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
    fn table_is_written_by_row() {
        let text = "| a | b |\n| --- | --- |\n| 1 | 2 |\n";
        assert_eq!(table().to_markdown(), text);
    }

    #[test]
    fn numbers_are_formatted_readably() {
        let whole = [0.0, 999.4, 1000.0, 1234567.0, -1500.0, -0.2].map(number);
        assert_eq!(whole, ["0", "999", "1,000", "1,234,567", "-1,500", "0"]);
        assert_eq!([4.06, 95.5].map(seconds), ["4.1 s", "96 s"]);
    }
}
