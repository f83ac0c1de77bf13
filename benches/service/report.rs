//! The results, printed as the Markdown tables of docs/performance.md.

use std::time::Duration;

use crate::rate::Rate;
use crate::targets::{Table, Target, Topic, Unit, digits, grouped};

/// A result.
struct Row {
    topic: &'static Topic,
    database: &'static str,
    orders: usize,
    work: String,
    service: String,
    baseline: String,
    /// What the target is about.
    value: f64,
}

/// A point of the chart.
pub struct Point {
    pub is_throughput: bool,
    pub series: String,
    pub x: f64,
    pub y: f64,
}

#[derive(Default)]
pub struct Report {
    database: &'static str,
    orders: usize,
    rows: Vec<Row>,
    notes: Vec<String>,
    pub points: Vec<Point>,
}

pub fn ms(time: Duration) -> String {
    format!("{} ms", digits(millis(time)))
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub fn show(rate: &Rate) -> String {
    format!("{:.0}/s, p50 {}, p99 {}", rate.per_second, ms(rate.p50), ms(rate.p99))
}

impl Report {
    /// What follows is about this database with so many orders.
    pub fn place(&mut self, database: &'static str, orders: usize) {
        (self.database, self.orders) = (database, orders);
    }

    pub fn row(
        &mut self,
        topic: &'static Topic,
        work: &str,
        (service, baseline): (String, String),
        value: f64,
    ) {
        let (database, orders) = (self.database, self.orders);
        eprintln!("{database} {orders}: {work}: {service} / {baseline}: {}", topic.shown(value));
        let work = work.to_owned();
        self.rows.push(Row { topic, database, orders, work, service, baseline, value });
    }

    /// Adds times, and their ratio as the value.
    pub fn times(&mut self, topic: &'static Topic, work: &str, ours: Duration, theirs: Duration) {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        self.row(topic, work, (ms(ours), ms(theirs)), ratio);
    }

    /// Adds rates, and their ratio as the value.
    pub fn rates(&mut self, topic: &'static Topic, work: &str, ours: &Rate, theirs: &Rate) {
        let ratio = ours.per_second / theirs.per_second;
        self.row(topic, work, (show(ours), show(theirs)), ratio);
    }

    /// Adds a value without a baseline.
    pub fn only(&mut self, topic: &'static Topic, work: &str, value: f64) {
        self.row(topic, work, (topic.shown(value), "-".into()), value);
    }

    /// Adds a line below the last table.
    pub fn note(&mut self, note: &str) {
        self.notes.push(note.into());
    }

    /// Adds a point to the chart: requests per second over clients, or µs per order over orders.
    pub fn point(&mut self, is_throughput: bool, series: &str, x: usize, y: f64) {
        let series = format!("{}, {series}", self.database);
        self.points.push(Point { is_throughput, series, x: x as f64, y });
    }

    /// Prints every table that has rows.
    pub fn print(&self) {
        self.summary();
        self.thousands();
        self.list(
            Table::Largest,
            "| database | work | service | baseline | ratio | target | met |",
        );
        self.calls();
        self.list(Table::Edges, "| database | work | service | baseline | ratio | target | met |");
        self.list(Table::Peers, "| database | work | service | peer | ratio | target | met |");
        let notes: String = self.notes.iter().map(|note| format!("\n- {note}")).collect();
        println!("{notes}");
    }

    fn of(&self, table: Table) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.topic.table == table)
    }

    /// One line for each target: the range of its values, and whether all meet it.
    fn summary(&self) {
        println!("\n| | target | PostgreSQL | SQLite |\n|---|---|---|---|");
        for topic in distinct(self.rows.iter().map(|row| row.topic)) {
            if topic.target == Target::None {
                continue;
            }
            let cell = |database: &str| {
                let of = |row: &&Row| row.topic == topic && row.database == database;
                let values: Vec<f64> = self.rows.iter().filter(of).map(|row| row.value).collect();
                range(topic, &values)
            };
            let target = topic.shown_target();
            println!("| {} | {target} | {} | {} |", topic.name, cell("PostgreSQL"), cell("SQLite"));
        }
    }

    /// The selections of a thousand: a column for each database and size.
    fn thousands(&self) {
        let places = distinct(self.of(Table::Thousands).map(|row| (row.database, row.orders)));
        if places.is_empty() {
            return;
        }
        let heads: String = places
            .iter()
            .map(|(name, orders)| format!(" {name}, {} |", grouped(*orders)))
            .collect();
        println!("\n| a thousand orders |{heads}\n|---|{}", "---|".repeat(places.len()));
        for work in distinct(self.of(Table::Thousands).map(|row| row.work.as_str())) {
            let cell = |(database, orders): &(&str, usize)| {
                let is = |row: &&Row| {
                    (row.work.as_str(), row.database, row.orders) == (work, *database, *orders)
                };
                self.of(Table::Thousands).find(is).map_or(" - |".into(), |row| {
                    let ratio = emphasized(row, &row.topic.shown(row.value));
                    format!(" {} ({ratio}) |", row.service.trim_end_matches(" ms"))
                })
            };
            println!("| {work} |{}", places.iter().map(cell).collect::<String>());
        }
    }

    /// Every endpoint: a column for each database.
    fn calls(&self) {
        let databases = distinct(self.of(Table::Calls).map(|row| row.database));
        if databases.is_empty() {
            return;
        }
        let columns = "---|".repeat(databases.len());
        println!(
            "\n| endpoint | of | target | {} |\n|---|---|---|{columns}",
            databases.join(" | ")
        );
        for (work, topic) in distinct(self.of(Table::Calls).map(|row| (&row.work, row.topic))) {
            let cell = |database: &&str| {
                let is = |row: &&Row| row.work == *work && row.database == *database;
                let row = self.of(Table::Calls).find(is);
                row.map_or(" - |".into(), |row| format!(" {} |", emphasized(row, &row.service)))
            };
            let cells: String = databases.iter().map(cell).collect();
            println!("| {work} | {} |{cells}", topic.shown_target());
        }
    }

    fn list(&self, table: Table, heads: &str) {
        if self.of(table).next().is_none() {
            return;
        }
        println!("\n{heads}\n|---|---|---|---|---|---|---|");
        for row in self.of(table) {
            let Row { topic, database, work, service, baseline, value, .. } = row;
            let ratio = if topic.unit == Unit::Ratio { topic.shown(*value) } else { "-".into() };
            let (target, met) = match topic.target {
                Target::None => ("-".into(), "-"),
                _ if topic.is_met(*value) => (topic.shown_target(), "yes"),
                _ => (topic.shown_target(), "**no**"),
            };
            println!(
                "| {database} | {work} | {service} | {baseline} | {ratio} | {target} | {met} |"
            );
        }
    }
}

/// In bold type if the row misses its target.
fn emphasized(row: &Row, text: &str) -> String {
    if row.topic.is_met(row.value) { text.to_owned() } else { format!("**{text}**") }
}

fn range(topic: &Topic, values: &[f64]) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shown = match (topic.shown(lowest), topic.shown(highest)) {
        _ if values.is_empty() => return "-".into(),
        (low, high) if low == high => low,
        (low, high) => format!("{low} to {high}"),
    };
    let missed = values.iter().filter(|value| !topic.is_met(**value)).count();
    match missed {
        0 => format!("{shown}: met"),
        _ => format!("{shown}: **{missed} of {} missed**", values.len()),
    }
}

/// The values without repetitions, in the order in which they come.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
