//! The tables that the bench prints: one for each way, and one that compares them.

use super::causes::Cause;
use crate::traffic::Figures;

/// All runs of one cause in one way, as the client with new connections and the one with kept ones saw them.
pub(super) struct Row {
    pub(super) way: &'static str,
    pub(super) cause: Option<Cause>,
    pub(super) figures: Vec<[Figures; 2]>,
}

const HEADER: &str = "\
| cause (runs) | label seen | first answer of the new leader | longest gap | failed requests \
| answers of the old leader to requests begun after the label, after the first answer \
| kept connections: longest gap | failed requests | answers of the old leader |
|---|---|---|---|---|---|---|---|---|";

fn p50_and_max(mut values: Vec<u64>) -> (u64, u64) {
    values.sort_unstable();
    let middle = values.get(values.len().saturating_sub(1) / 2);
    (middle.copied().unwrap_or_default(), values.last().copied().unwrap_or_default())
}

impl Row {
    fn spread(&self, client: usize, figure: fn(&Figures) -> u64) -> (u64, u64) {
        p50_and_max(self.figures.iter().map(|both| figure(&both[client])).collect())
    }

    /// What a client saw: p50 and maximum over the runs.
    fn of(&self, client: usize, figure: fn(&Figures) -> u64) -> String {
        let (middle, most) = self.spread(client, figure);
        format!("{middle} / {most}")
    }

    /// From the cause to the first answer of the new leader in milliseconds. A rolling update has
    /// none.
    pub(super) fn answer_p50_and_max(&self) -> Option<(u64, u64)> {
        self.cause.map(|_| self.spread(0, |one| one.answer / 1000))
    }

    pub(super) fn cause(&self) -> &'static str {
        self.cause.map_or("rolling update", Cause::name)
    }

    /// The figures that only one change of the leader has.
    fn of_one_change(&self, client: usize, figure: fn(&Figures) -> u64) -> String {
        self.cause.map_or_else(|| "–".to_owned(), |_| self.of(client, figure))
    }

    fn answer(&self) -> String {
        self.of_one_change(0, |one| one.answer / 1000)
    }

    fn failed(&self) -> String {
        self.of(0, |one| one.failed as u64)
    }

    pub(super) fn line(&self) -> String {
        format!(
            "| {} ({}) | {} | {} | {} | {} | {}; {} | {} | {} | {} |",
            self.cause(),
            self.figures.len(),
            self.of_one_change(0, |one| one.label / 1000),
            self.answer(),
            self.of(0, |one| one.gap / 1000),
            self.failed(),
            self.of_one_change(0, |one| one.old_after_label as u64),
            self.of_one_change(0, |one| one.old_after_new as u64),
            self.of(1, |one| one.gap / 1000),
            self.of(1, |one| one.failed as u64),
            self.of_one_change(1, |one| one.old_after_new as u64),
        )
    }
}

pub(super) fn unique<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for value in values {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

/// All tables. Times are milliseconds, p50 / maximum.
pub(super) fn tables(rows: &[Row]) -> String {
    let ways = unique(rows.iter().map(|row| row.way));
    let of = |way: &&str| {
        let lines: Vec<_> = rows.iter().filter(|row| row.way == *way).map(Row::line).collect();
        format!("\n**{way}**\n\n{HEADER}\n{}\n", lines.join("\n"))
    };
    ways.iter().map(of).chain([comparison(rows, &ways)]).collect::<Vec<_>>().concat()
}

/// One line for each cause, one column for each way.
fn comparison(rows: &[Row], ways: &[&str]) -> String {
    let cell = |cause: &str, way: &str| {
        let row = rows.iter().find(|row| row.cause() == cause && row.way == way);
        row.map_or_else(String::new, |row| format!("{}; {}", row.answer(), row.failed()))
    };
    let line = |cause: &str| {
        let cells: Vec<_> = ways.iter().map(|way| cell(cause, way)).collect();
        format!("| {cause} | {} |", cells.join(" | "))
    };
    let lines: Vec<_> = unique(rows.iter().map(Row::cause)).into_iter().map(line).collect();
    format!(
        "\n**First answer of the new leader (ms); failed requests**\n\n| cause | {} |\n|---|{}\n{}",
        ways.join(" | "),
        "---|".repeat(ways.len()),
        lines.join("\n")
    )
}
