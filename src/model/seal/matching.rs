//! Finds which rows differ from those that a seal has covered, by the digests that it keeps.

use std::collections::HashMap;

use super::{Digest, HEAD, Short, short};
use crate::model::counted::counted;

/// How many rows of one gap are named.
const NAMED: usize = 100;

/// A difference between the rows and what a seal covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The entry, if it is about one.
    pub audit_log_id: Option<i64>,
    /// The order, if it is about a detail of the entry that is known.
    pub order_id: Option<String>,
    /// What is different.
    pub problem: String,
}

/// The ids of the entries that `Content::digests` of a seal names.
pub fn ids(digests: &[u8]) -> impl Iterator<Item = i64> {
    let mut matching = Matching::with(digests);
    std::iter::from_fn(move || {
        let group = matching.group.take()?;
        matching.next_group();
        Some(group.id)
    })
}

/// Compares rows, which come in the order of the seal, with what it covered.
pub struct Matching<'a> {
    stored: &'a [u8],
    group: Option<Group<'a>>,
    differences: Vec<Difference>,
}

/// An entry that was sealed, with its details.
struct Group<'a> {
    id: i64,
    entry: Short,
    seen: bool,
    details: &'a [Short],
    /// How many of `details` have been met or passed.
    passed: usize,
    /// Where each digest is: made when the first one differs.
    positions: Option<HashMap<Short, usize>>,
    /// The order that was met last.
    met: Option<String>,
    /// Rows since then that do not match: the first ones, and how many.
    strange: Vec<String>,
    strangers: usize,
}

impl<'a> Matching<'a> {
    /// A comparison with `Content::digests` of a seal.
    pub fn with(digests: &'a [u8]) -> Self {
        let mut matching = Self { stored: digests, group: None, differences: Vec::new() };
        matching.next_group();
        matching
    }

    /// The next row is this entry.
    pub fn entry(&mut self, id: i64, digest: &Digest) {
        match self.group_of(id) {
            None => self.differ(id, None, "the entry was inserted".into()),
            Some(group) => {
                group.seen = true;
                match group.entry {
                    entry if entry == short(digest) => {}
                    entry if entry == Short::default() => {
                        self.differ(id, None, "the entry was inserted".into());
                    }
                    _ => self.differ(id, None, "the entry was changed".into()),
                }
            }
        }
    }

    /// The next row is this detail.
    pub fn detail(&mut self, audit_log_id: i64, order_id: String, digest: &Digest) {
        let Some(group) = self.group_of(audit_log_id) else {
            self.differ(audit_log_id, Some(order_id), "the detail was inserted".into());
            return;
        };
        let digest = short(digest);
        let position = if group.details.get(group.passed) == Some(&digest) {
            Some(group.passed)
        } else {
            group.position(&digest)
        };
        match position {
            Some(position) => {
                let differences = group.settle(position, Some(&order_id));
                group.passed = position + 1;
                group.met = Some(order_id);
                self.differences.extend(differences);
            }
            None => {
                group.strangers += 1;
                if group.strange.len() < NAMED {
                    group.strange.push(order_id);
                }
            }
        }
    }

    /// All differences.
    pub fn finish(mut self) -> Vec<Difference> {
        while self.group.is_some() {
            self.end_group();
        }
        self.differences
    }

    /// The group of an entry, after ending those before it.
    fn group_of(&mut self, id: i64) -> Option<&mut Group<'a>> {
        while self.group.as_ref().is_some_and(|group| group.id < id) {
            self.end_group();
        }
        self.group.as_mut().filter(|group| group.id == id)
    }

    fn end_group(&mut self) {
        let Some(mut group) = self.group.take() else { return };
        if !group.seen && group.entry != Short::default() {
            self.differ(group.id, None, "the entry was removed".into());
        }
        self.differences.extend(group.settle(group.details.len(), None));
        self.next_group();
    }

    /// Takes the next group. Invalid data ends the groups; the seal's hash reveals the rest.
    fn next_group(&mut self) {
        let Some((head, rest)) = self.stored.split_first_chunk::<HEAD>() else { return };
        let (numbers, _) = head.as_chunks::<8>();
        let [id, count, entry] = numbers else { return };
        let (details, _) = rest.as_chunks::<8>();
        let count = usize::try_from(u64::from_be_bytes(*count)).unwrap_or(usize::MAX);
        let details = &details[..count.min(details.len())];
        self.stored = &rest[size_of_val(details)..];
        self.group = Some(Group {
            id: i64::from_be_bytes(*id),
            entry: *entry,
            seen: false,
            details,
            passed: 0,
            positions: None,
            met: None,
            strange: Vec::new(),
            strangers: 0,
        });
    }

    fn differ(&mut self, id: i64, order_id: Option<String>, problem: String) {
        let audit_log_id = Some(id);
        self.differences.push(Difference { audit_log_id, order_id, problem });
    }
}

impl Group<'_> {
    /// Where a digest that is still to be met is.
    fn position(&mut self, digest: &Short) -> Option<usize> {
        let details = self.details;
        let positions = self.positions.get_or_insert_with(|| {
            details.iter().enumerate().map(|(position, digest)| (*digest, position)).collect()
        });
        positions.get(digest).copied().filter(|position| *position >= self.passed)
    }

    /// What happened to the details up to `position`, given the unmatched rows in their place.
    fn settle(&mut self, position: usize, before: Option<&str>) -> Vec<Difference> {
        let gone = position - self.passed;
        let strange = std::mem::take(&mut self.strange);
        let strangers = std::mem::take(&mut self.strangers);
        let problem = match gone {
            0 => "the detail was inserted",
            _ if gone >= strangers => "the detail was changed",
            _ => "the detail was changed or inserted",
        };
        let difference =
            |order_id, problem| Difference { audit_log_id: Some(self.id), order_id, problem };
        let unnamed = strangers - strange.len();
        let mut differences: Vec<Difference> =
            strange.into_iter().map(|id| difference(Some(id), problem.into())).collect();
        if unnamed > 0 {
            let more = counted(unnamed as u64, "more detail");
            differences.push(difference(None, format!("the same for {more} after them")));
        }
        if gone > strangers {
            let place = match (&self.met, before) {
                (Some(after), Some(before)) => format!("between the orders {after} and {before}"),
                (Some(after), None) => format!("after the order {after}"),
                (None, Some(before)) => format!("before the order {before}"),
                (None, None) => "all that there were".into(),
            };
            let removed = gone - strangers;
            differences.push(difference(None, format!("missing details: {removed}, {place}")));
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::Content;
    use super::*;

    fn digest(of: &str) -> Digest {
        use sha2::Digest as _;
        sha2::Sha256::digest(of).into()
    }

    /// What is found if `now` is there where `sealed` was: entries 1 and 2 with details, of
    /// which the first letter is the order's id.
    fn differences(sealed: [&[&str]; 2], now: [&[&str]; 2]) -> Vec<String> {
        let mut content = Content::default();
        for (id, details) in (1..).zip(sealed) {
            content.entry(id, &digest(&id.to_string()));
            for detail in details {
                content.detail(id, &digest(detail));
            }
        }
        let mut matching = Matching::with(content.digests());
        for (id, details) in (1..).zip(now) {
            matching.entry(id, &digest(&id.to_string()));
            for detail in details {
                matching.detail(id, detail[..1].into(), &digest(detail));
            }
        }
        let show = |Difference { audit_log_id, order_id, problem }| {
            format!(
                "{} {} {problem}",
                audit_log_id.unwrap_or_default(),
                order_id.unwrap_or_default()
            )
        };
        matching.finish().into_iter().map(show).collect()
    }

    #[test]
    fn rows_that_differ_are_named() {
        let sealed: &[&str] = &["a", "b", "c", "d"];
        let of_first = |now: &[&str]| differences([sealed, &["x"]], [now, &["x"]]);
        assert!(of_first(sealed).is_empty());
        assert_eq!(of_first(&["a", "b2", "c", "d"]), ["1 b the detail was changed"]);
        assert_eq!(of_first(&["a", "b", "c", "d2"]), ["1 d the detail was changed"]);
        assert_eq!(
            of_first(&["a", "c", "d"]),
            ["1  missing details: 1, between the orders a and c"]
        );
        assert_eq!(of_first(&["a", "b"]), ["1  missing details: 2, after the order b"]);
        assert_eq!(of_first(&[]), ["1  missing details: 4, all that there were"]);
        assert_eq!(of_first(&["a", "b", "bb", "c", "d"]), ["1 b the detail was inserted"]);
        assert_eq!(
            of_first(&["a2", "b", "c2", "d"]),
            ["1 a the detail was changed", "1 c the detail was changed"]
        );
        assert_eq!(differences([&["a"], &[]], [&["a"], &["y"]]), ["2 y the detail was inserted"]);
    }

    #[test]
    fn digests_that_are_none_are_survived() {
        for digests in [&[][..], &[1; 23], &[255; 24], &[255; 100]] {
            let mut matching = Matching::with(digests);
            matching.entry(1, &digest("a"));
            matching.detail(1, "a".into(), &digest("a"));
            assert!(!matching.finish().is_empty());
        }
    }

    /// Entries by id with their details by order.
    type Trail = BTreeMap<i64, (u8, BTreeMap<String, u8>)>;

    /// Few different ones, so that two are often alike.
    fn trails() -> impl Strategy<Value = Trail> {
        use proptest::collection::btree_map;
        let details = btree_map("[a-d]", 0..2_u8, 0..4);
        btree_map(1..4_i64, (0..2_u8, details), 0..4)
    }

    fn walk(trail: &Trail, mut row: impl FnMut(i64, Option<&str>, Digest)) {
        for (id, (content, details)) in trail {
            row(*id, None, digest(&format!("{id} {content}")));
            for (order, content) in details {
                row(*id, Some(order), digest(&format!("{id} {order} {content}")));
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_differs_is_found_and_nothing_else(
            (sealed, now) in (trails(), trails(), any::<bool>())
                .prop_map(|(sealed, now, same)| if same { (sealed.clone(), sealed) } else { (sealed, now) }),
        ) {
            let mut content = Content::default();
            walk(&sealed, |id, order, digest| match order {
                None => content.entry(id, &digest),
                Some(_) => content.detail(id, &digest),
            });
            let mut matching = Matching::with(content.digests());
            walk(&now, |id, order, digest| match order {
                None => matching.entry(id, &digest),
                Some(order) => matching.detail(id, order.into(), &digest),
            });
            let differences = matching.finish();
            prop_assert_eq!(differences.is_empty(), sealed == now, "{:?}", differences);
            // What is named is an entry of one of the two.
            for Difference { audit_log_id, .. } in differences {
                let id = audit_log_id.unwrap();
                prop_assert!(sealed.get(&id) != now.get(&id), "{} is as it was", id);
            }
        }
    }
}
