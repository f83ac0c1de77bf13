//! Cyclic orders: JOC plans one order for each start of a cycle, and gives their ids a common part.

use std::sync::LazyLock;

use regex::Regex;

/// What a request that names an order of a cycle by id selects, and how lists show cycles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Cycles {
    /// Only the order that is named: nothing changes that was not named.
    #[default]
    One,
    /// Every fresh order of its cycle, as in JOC; lists show a cycle as one order.
    All,
}

/// The common part of a cycle's ids, by JOC's `OrdersHelper.cyclicOrderIdRegex`. JOC cuts at a fixed
/// length instead, which divides cycles with shorter numbers.
static COMMON: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^#[0-9]{4}-[0-9]{2}-[0-9]{2}#C[0-9]+-").ok());

/// The cycle of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle<'a>(&'a str);

impl<'a> Cycle<'a> {
    /// The cycle to which an order with this id belongs, if any; child orders belong to none. Of
    /// `#2026-12-01#C4038226057-00001-12-backup` it is `#2026-12-01#C4038226057-`.
    pub fn of(order_id: &'a str) -> Option<Self> {
        let common = COMMON.as_ref()?.find(order_id)?;
        (!order_id.contains('|')).then(|| Self(common.as_str()))
    }

    /// The common part of the ids; they, and those of child orders, follow it.
    pub fn common(self) -> &'a str {
        self.0
    }

    /// The first text after all that begin with the common part.
    pub fn past(self) -> String {
        // In the order of the database, `.` follows `-`.
        format!("{}.", self.0.trim_end_matches('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_part_ends_after_the_number() {
        for (id, common) in [
            ("#2026-12-01#C4038226057-00001-12-backup", "#2026-12-01#C4038226057-"),
            ("#2026-12-01#C40382260571-00012-12-backup", "#2026-12-01#C40382260571-"),
            ("#2026-12-01#C1-", "#2026-12-01#C1-"),
        ] {
            let cycle = Cycle::of(id).unwrap();
            assert_eq!(cycle.common(), common);
            assert!(cycle.common() <= id && id < cycle.past().as_str());
        }
    }

    #[test]
    fn other_ids_are_of_no_cycle() {
        for id in [
            "",
            "#2026-12-01#T4038226057-00001-12-backup",
            "#2026-12-01#c4038226057-00001-12-backup",
            "#2026-12-01#C-00001-12-backup",
            "#2026-12-01#C4038226057",
            "#2026-12-01#C4038226057.00001-12-backup",
            "#26-12-01#C4038226057-00001-12-backup",
            "#２０２６-12-01#C4038226057-00001-12-backup",
            " #2026-12-01#C4038226057-00001-12-backup",
            "#2026-12-01#C4038226057-00001-12-backup|east",
        ] {
            assert_eq!(Cycle::of(id), None, "{id}");
        }
    }
}
