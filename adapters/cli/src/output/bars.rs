//! A job as live bars: one for each shot that has begun, and one for the whole.

use greenroom_domain::Timestamp;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;

use crate::progress::{Progress, Row, Stage};

/// The bars on the screen.
#[derive(Debug)]
pub(super) struct Bars {
    screen: MultiProgress,
    whole: ProgressBar,
    /// The line above the bars.
    title: String,
    /// By label, with the row that is shown.
    rows: HashMap<String, (ProgressBar, Row)>,
    /// Labels of the bars on the screen, from the top.
    order: Vec<String>,
}

/// Steps of a bar; fine enough for any width.
const STEPS: u64 = 1000;
const ROW: &str = "{prefix:>16} {bar:20.cyan/dim} {wide_msg}";
const WHOLE: &str = "{prefix:>16} {bar:20.green/dim} {wide_msg}";

impl Default for Bars {
    fn default() -> Self {
        let screen = MultiProgress::new();
        let whole = screen.add(bar(WHOLE).with_prefix("in all"));
        Self { screen, whole, title: String::new(), rows: HashMap::new(), order: Vec::new() }
    }
}

impl Bars {
    /// Draws what changed.
    pub(super) fn show(&mut self, model: &Progress, now: Timestamp) {
        for row in model.rows() {
            match self.rows.get_mut(&row.label) {
                Some((_, shown)) if *shown == row => {}
                Some((bar, shown)) => {
                    draw(bar, &row);
                    *shown = row;
                }
                None if row.stage == Stage::Waiting => {}
                None => self.begin(row),
            }
        }
        if self.title != model.title() {
            self.title = model.title().to_owned();
            self.say(&self.title);
        }
        self.whole.set_position((model.fraction(now) * STEPS as f64) as u64);
        self.whole.set_message(super::overall(model, now));
    }

    /// A line above the bars.
    pub(super) fn say(&self, text: &str) {
        // A terminal that went away is no reason to stop.
        let _ = self.screen.println(text);
    }

    /// Leaves the bars as they stand.
    pub(super) fn close(self) {
        for label in &self.order {
            self.rows.get(label).inspect(|(bar, _)| bar.abandon());
        }
        self.whole.finish_and_clear();
    }

    /// A bar for a row, after those that stand before it; where the screen is full, the oldest that is settled becomes a line.
    fn begin(&mut self, row: Row) {
        let height = usize::from(console::Term::stderr().size().0);
        if self.order.len() + 2 >= height.max(4) {
            let settled =
                self.order.iter().position(|label| self.rows.get(label).is_some_and(|(_, row)| is_settled(row)));
            if let Some(index) = settled {
                let label = self.order.remove(index);
                if let Some((bar, row)) = self.rows.get(&label) {
                    let line = format!("{:>16} {} {}", head(row), " ".repeat(20), message(row));
                    bar.finish_and_clear();
                    self.screen.remove(bar);
                    self.say(&line);
                }
            }
        }
        let bar = self.screen.insert_before(&self.whole, bar(ROW));
        draw(&bar, &row);
        self.order.push(row.label.clone());
        self.rows.insert(row.label.clone(), (bar, row));
    }
}

fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).map(|style| style.progress_chars("━━─"));
    ProgressBar::new(STEPS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn draw(bar: &ProgressBar, row: &Row) {
    bar.set_prefix(head(row));
    bar.set_position((row.fraction * STEPS as f64) as u64);
    bar.set_message(message(row));
}

fn head(row: &Row) -> String {
    if row.take > 0 { format!("{} take {}", row.label, row.take) } else { row.label.clone() }
}

fn message(row: &Row) -> String {
    let text = &row.text;
    let style = console::Style::new().for_stderr();
    match row.stage {
        Stage::Accepted => format!("{} {text}", style.green().apply_to("✓")),
        Stage::Rejected => format!("{} {text}", style.yellow().apply_to("↻")),
        Stage::Draft => format!("{} draft: {text}", style.yellow().apply_to("!")),
        Stage::Stopped => format!("{} {text}", style.red().apply_to("✗")),
        Stage::Waiting | Stage::Making | Stage::Checking => text.clone(),
    }
}

fn is_settled(row: &Row) -> bool {
    matches!(row.stage, Stage::Accepted | Stage::Draft | Stage::Stopped)
}
