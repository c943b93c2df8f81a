//! Figures and the table of them.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use crate::Failure;

/// Times of one kind.
#[derive(Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    /// In milliseconds.
    pub(crate) fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The median of how many times longer these took than those measured beside them.
    pub(crate) fn pairwise(&self, beside: &Self) -> f64 {
        median(self.0.iter().zip(&beside.0).map(|(ours, other)| ours / other).collect())
    }

    /// Median, least and most, in milliseconds.
    fn text(&self) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        let median = self.median();
        match self.0.len() {
            1 => milliseconds(median),
            _ => format!("{} ({}..{})", milliseconds(median), milliseconds(least), milliseconds(most)),
        }
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => numbers[count / 2],
        count => f64::midpoint(numbers[count / 2 - 1], numbers[count / 2]),
    }
}

fn milliseconds(time: f64) -> String {
    if time < 10.0 { format!("{time:.2}") } else { format!("{time:.0}") }
}

/// A table, which grows line by line, and what is wrong.
pub(crate) struct Table {
    /// What ours is compared with.
    beside: &'static str,
    lines: Vec<[String; 5]>,
    pub(crate) wrong: Vec<String>,
}

impl Table {
    /// A table that compares ours with this.
    pub(crate) fn beside(beside: &'static str) -> Self {
        Self { beside, lines: Vec::new(), wrong: Vec::new() }
    }

    /// Times of the other and of ours, measured pair by pair.
    pub(crate) fn pairs(&mut self, measure: &str, other: &Times, ours: &Times, target: &str) {
        let ratio = format!("{:.2} (pairwise {:.2})", ours.median() / other.median(), ours.pairwise(other));
        self.line(measure, other.text(), ours.text(), ratio, target);
    }

    /// Shares of a processor, of the other and of ours.
    pub(crate) fn shares(&mut self, measure: &str, other: f64, ours: f64, target: &str) {
        let percent = |share: f64| format!("{:.2}", share * 100.0);
        self.line(measure, percent(other), percent(ours), format!("{:.2}", ours / other), target);
    }

    /// A figure that ours alone has.
    pub(crate) fn figure(&mut self, measure: &str, ours: &dyn Display, target: &str) {
        self.line(measure, String::new(), ours.to_string(), String::new(), target);
    }

    /// A figure that ours alone has, and that must be right whatever the machine is busy with.
    pub(crate) fn count(&mut self, measure: &str, ours: &dyn Display, target: &str, is_right: bool) {
        if !is_right {
            self.wrong.push(format!("{measure}: {ours}, but the target is {target}"));
        }
        self.figure(measure, ours, target);
    }

    fn line(&mut self, measure: &str, other: String, ours: String, ratio: String, target: &str) {
        self.lines.push([measure.to_owned(), other, ours, ratio, target.to_owned()]);
    }
}

impl Display for Table {
    /// As Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["measure", self.beside, "ours", "ratio", "target"].map(str::to_owned);
        let width = |column: usize| {
            let cells = self.lines.iter().chain([&head]).map(|line| line[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let rule = std::array::from_fn(|column| "-".repeat(widths[column]));
        for line in [&head, &rule].into_iter().chain(&self.lines) {
            for (cell, width) in line.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

/// How long this takes, and what comes of it.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(Duration, T), Failure> {
    let began = Instant::now();
    let result = work()?;
    Ok((began.elapsed(), result))
}
