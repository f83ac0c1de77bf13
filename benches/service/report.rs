//! The table of results, printed row by row.

use std::time::Duration;

use crate::load::Mixed;
use crate::raw::Rate;

pub struct Report {
    place: String,
    database: String,
}

pub fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

fn show(rate: &Rate) -> String {
    format!("{:.0}/s, p50 {}, p99 {}", rate.per_second, ms(rate.p50), ms(rate.p99))
}

impl Report {
    pub fn new() -> Self {
        println!("| database | orders | work | service | baseline | ratio | target |");
        println!("|---|---|---|---|---|---|---|");
        Self { place: String::new(), database: String::new() }
    }

    pub fn database(&mut self, name: &str) {
        self.database = name.into();
    }

    pub fn size(&mut self, orders: usize) {
        self.place = format!("{} | {orders}", self.database);
    }

    fn row(&self, work: &str, service: &str, baseline: &str, ratio: &str, target: &str) {
        println!("| {} | {work} | {service} | {baseline} | {ratio} | {target} |", self.place);
    }

    /// Adds times, of which the service's should be at most `target` times the baseline's.
    pub fn times(&self, work: &str, service: Duration, baseline: Duration, target: f64) {
        let ratio = service.as_secs_f64() / baseline.as_secs_f64();
        let (service, baseline) = (ms(service), ms(baseline));
        self.row(work, &service, &baseline, &format!("{ratio:.2}"), &format!("≤ {target}"));
    }

    /// Adds rates, of which the service's should be at least `target` times the baseline's.
    pub fn rates(&self, work: &str, service: &Rate, baseline: &Rate, target: f64) {
        let ratio = format!("{:.2}", service.per_second / baseline.per_second);
        let work = format!("cancel one by id, {work}");
        self.row(&work, &show(service), &show(baseline), &ratio, &format!("≥ {target}"));
    }

    /// Adds a result without a baseline.
    pub fn only(&self, work: &str, service: &str, target: &str) {
        self.row(work, service, "-", "-", target);
    }

    /// Adds short requests with and without a long one in flight.
    pub fn mixed(&self, quiet: &Mixed, busy: &Mixed) {
        let long = busy.long.map_or_else(String::new, ms);
        for (work, quiet, busy) in [
            ("single cancels", &quiet.cancels, &busy.cancels),
            ("lists of 1,000", &quiet.lists, &busy.lists),
        ] {
            let work = format!("{work} during a long cancel ({long}), and without it");
            self.row(&work, &show(busy), &show(quiet), "-", "-");
        }
    }
}
