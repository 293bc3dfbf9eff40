//! An axis: its scale, its ticks, and the position of a value.

/// Label and scale of an axis.
#[derive(Clone, Debug)]
pub struct Axis {
    pub label: String,
    log: bool,
}

impl Axis {
    /// Makes a linear axis that starts at zero.
    #[must_use]
    pub fn linear(label: &str) -> Axis {
        Axis {
            label: label.to_owned(),
            log: false,
        }
    }

    /// Makes a logarithmic axis. Values of at most zero are drawn at its lower end.
    #[must_use]
    pub fn log(label: &str) -> Axis {
        Axis {
            label: label.to_owned(),
            log: true,
        }
    }
}

/// An axis with its range of values and its ends in the picture.
pub(super) struct Range<'a> {
    axis: &'a Axis,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl<'a> Range<'a> {
    /// Makes a range wide enough for all values.
    pub(super) fn of(
        axis: &'a Axis,
        values: impl Iterator<Item = f64>,
        from: f64,
        to: f64,
    ) -> Range<'a> {
        let shown = values.filter(|value| value.is_finite() && (!axis.log || *value > 0.0));
        let (least, most) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), it| {
            (least.min(it), most.max(it))
        });
        let (least, most) = if least > most {
            (1.0, 1.0)
        } else {
            (least, most)
        };
        let (least, most) = match axis.log {
            true => (least / 1.2, most * 1.2),
            false => (least.min(0.0), most.max(0.0) * 1.05),
        };
        let most = if most > least { most } else { least + 1.0 };
        Range {
            axis,
            least,
            most,
            from,
            to,
        }
    }

    /// Returns the position of a value, clamped to the ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.least, self.most);
        let part = match self.axis.log {
            true => (value / self.least).ln() / (self.most / self.least).ln(),
            false => (value - self.least) / (self.most - self.least),
        };
        self.from + (self.to - self.from) * part
    }

    /// Returns a readable number of round values.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if !self.axis.log {
            let step = round_step((self.most - self.least) / 6.0);
            let first = (self.least / step).ceil();
            return (0..20)
                .map(|n| (first + f64::from(n)) * step)
                .take_while(|value| *value <= self.most)
                .collect();
        }
        let decades = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
        let many = (self.most / self.least).log10() > 4.0;
        let parts: &[f64] = if many { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = decades
            .flat_map(|decade| parts.iter().map(move |part| part * 10_f64.powi(decade)))
            .filter(|value| (self.least..=self.most).contains(value));
        all.collect()
    }
}

/// Returns the next of 1, 2, 5, 10, ...
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|part| part * decade);
    let fits = steps.into_iter().find(|step| *step >= least * 0.999);
    fits.unwrap_or(decade * 10.0)
}

/// Formats a number without needless digits, with thousands separators.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        let left = whole.len() - n;
        if n > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match rest {
        "" => grouped,
        rest => format!("{grouped}.{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axis_starts_at_zero() {
        let axis = Axis::linear("");
        let range = Range::of(&axis, [3.0, 97.0].into_iter(), 0.0, 1000.0);
        assert_eq!(range.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert!((range.place(0.0)).abs() < 1e-9);
        assert!(range.place(97.0) < 1000.0 && range.place(48.5) > 450.0);
    }

    #[test]
    fn log_axis_clamps_to_its_end() {
        let axis = Axis::log("");
        let range = Range::of(&axis, [0.0, 0.5, 40.0].into_iter(), 0.0, 100.0);
        assert_eq!(range.ticks(), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert!(range.place(0.0).abs() < 1e-9);
        let halves = range.place(2.0) - range.place(1.0);
        assert!((range.place(4.0) - range.place(2.0) - halves).abs() < 1e-9);
    }

    #[test]
    fn numbers_drop_needless_digits() {
        let all = [0.5, 2.0, 1234.0, 1_234_567.25, -1000.0, 0.0].map(number);
        assert_eq!(all, ["0.5", "2", "1,234", "1,234,567.25", "-1,000", "0"]);
    }
}
