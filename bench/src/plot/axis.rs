//! An axis: its scale, its round numbers, and where a value lies on it.

/// What an axis shows.
#[derive(Clone, Debug)]
pub struct Axis {
    pub label: String,
    log: bool,
}

impl Axis {
    /// From zero on.
    #[must_use]
    pub fn linear(label: &str) -> Axis {
        Axis {
            label: label.to_owned(),
            log: false,
        }
    }

    /// By factors; what is not above zero lies at its lower end.
    #[must_use]
    pub fn log(label: &str) -> Axis {
        Axis {
            label: label.to_owned(),
            log: true,
        }
    }
}

/// An axis with its values laid out between two places of the picture.
pub(super) struct Range<'a> {
    axis: &'a Axis,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl<'a> Range<'a> {
    /// Wide enough for all of these.
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

    /// Where this value lies; at an end if it lies beyond.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.least, self.most);
        let part = match self.axis.log {
            true => (value / self.least).ln() / (self.most / self.least).ln(),
            false => (value - self.least) / (self.most - self.least),
        };
        self.from + (self.to - self.from) * part
    }

    /// Round values, few enough to be read.
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

/// The next of 1, 2, 5, 10, ...
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|part| part * decade);
    let fits = steps.into_iter().find(|step| *step >= least * 0.999);
    fits.unwrap_or(decade * 10.0)
}

/// A number as it is read: no digits that say nothing, thousands apart.
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
    fn a_linear_axis_begins_at_zero_and_has_round_ticks() {
        let axis = Axis::linear("");
        let range = Range::of(&axis, [3.0, 97.0].into_iter(), 0.0, 1000.0);
        assert_eq!(range.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert!((range.place(0.0)).abs() < 1e-9);
        assert!(range.place(97.0) < 1000.0 && range.place(48.5) > 450.0);
    }

    #[test]
    fn a_log_axis_has_ticks_at_one_two_five_and_keeps_what_is_not_above_zero_at_its_end() {
        let axis = Axis::log("");
        let range = Range::of(&axis, [0.0, 0.5, 40.0].into_iter(), 0.0, 100.0);
        assert_eq!(range.ticks(), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert!(range.place(0.0).abs() < 1e-9);
        let halves = range.place(2.0) - range.place(1.0);
        assert!((range.place(4.0) - range.place(2.0) - halves).abs() < 1e-9);
    }

    #[test]
    fn numbers_have_no_needless_digits() {
        let all = [0.5, 2.0, 1234.0, 1_234_567.25, -1000.0, 0.0].map(number);
        assert_eq!(all, ["0.5", "2", "1,234", "1,234,567.25", "-1,000", "0"]);
    }
}
