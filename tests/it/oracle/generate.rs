//! Random controllers and requests, from pools small enough to overlap and nasty enough to matter:
//! ids and folders with common prefixes, instants on every boundary.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use super::case::{ACCOUNTS, Case, Request};
use crate::harness::{Order, start_time};

/// The endpoints, by the last part of their paths; repeated ones are more likely.
const CALLS: &[&str] = &[
    "cancel",
    "cancel",
    "cancel",
    "cancel",
    "suspend",
    "suspend",
    "suspend",
    "suspend",
    "resume",
    "resume",
    "resume",
    "confirm",
    "continue",
    "change",
    "remove_when_terminated",
];

const REASONS: &[&str] = &[
    "DELAYED_AFTER_ERROR",
    "DELAYING_RETRY",
    "BETWEEN_CYCLES",
    "SLEEPING",
    "FORKED",
    "WAITING_FOR_LOCK",
    "SLEEPING_BADLY",
];

const ROOTS: &[&str] =
    &["a", "a", "a", "a", "ab", "a}", "a%", "a_", "A", "ä", "o'b \"q", "#2026-11-23#P1-eod"];

/// Orders of a cycle, and look-alikes.
const CYCLIC: &[&str] = &[
    "#2026-12-01#C77-00001-4-b",
    "#2026-12-01#C77-00002-4-b",
    "#2026-12-01#C77-00003-4-b",
    "#2026-12-01#C77-00004-4-ß",
    "#2026-12-01#C77-",
    "#2026-12-01#C77-00001-4-b|b",
    "#2026-12-01#C770-00001-4-b",
    "#2026-12-01#C770-00002-4-b",
    "#2026-12-01#C77.00001-4-b",
    "#2026-12-02#C77-00001-4-b",
    "#2026-12-01#T77-00001-4-b",
    "#2026-12-01#T77-00002-4-b",
    "#2026-12-01#c77-00002-4-b",
    "#2026-12-01#C-00002-4-b",
];

const BRANCHES: &[&str] = &["b", "b", "b", "bc", "c", "}", "~", "%", "ß", "\u{10fffd}"];
const WORKFLOWS: &[&str] = &[
    "/sos/eod",
    "/sos/eod",
    "/sos/eod",
    "/sosx/eod",
    "/sos_x/eod",
    "/sos/a/b/eod",
    "/sos/a/x",
    "/sos/a0/x",
    "/sos%/x",
    "/sos-/x",
    "/sos0/x",
    "/SOS/eod",
    "/eod",
    "/Über/ß",
    "/o'b \"q/e d",
];

const NAMES: &[&str] = &["eod", "x", "ß", "e d", "EOD", "sos", "e_d", "%"];
const FOLDERS: &[&str] = &[
    "/", "/", "/", "/sos", "/sos", "/sos", "/sos/a", "/sos/a/b", "/sosx", "/sos_x", "/sos_",
    "/sos%", "/sos-", "/sos0", "/SOS", "/Über", "/o'b \"q", "/s", "/nowhere", "/eod",
];

const STATES: &[&str] = &[
    "FRESH",
    "FRESH",
    "FRESH",
    "RUNNING",
    "RUNNING",
    "INPROGRESS",
    "WAITING",
    "WAITING",
    "WAITING",
    "PROMPTING",
    "FAILED",
    "FINISHED",
    "CANCELLED",
];

pub const EFFECTIVE: &[&str] = &[
    "PENDING",
    "SCHEDULED",
    "INPROGRESS",
    "RUNNING",
    "SUSPENDED",
    "WAITING",
    "PROMPTING",
    "FAILED",
    "BLOCKED",
];

pub const TERMINAL: &[&str] = &["FINISHED", "CANCELLED"];

/// States that JOC has and no order here.
const NEVER: &[&str] = &["PLANNED", "BROKEN", "UNKNOWN"];

/// Instants on the boundaries of the windows below.
const EDGES: &[&str] = &[
    "2026-11-23T12:34:56.789Z",
    "2026-11-23T13:34:56.789Z",
    "2026-11-22T12:34:56.789Z",
    "2026-11-22T00:00:00.000Z",
    "2026-11-23T00:00:00.000Z",
    "2026-11-24T00:00:00.000Z",
    // Midnights in Berlin.
    "2026-11-22T23:00:00.000Z",
    "2026-11-23T23:00:00.000Z",
];

const DATES: &[&str] = &[
    "0",
    "1h",
    "-1h",
    "24h",
    "-24h",
    "0d",
    "1d",
    "-1d",
    "0M",
    "-1d+01:00",
    "1w",
    "2026-11-23T12:34:56.789Z",
    "2026-11-23T12:34:56.790Z",
    "2026-11-23T12:34:56.7881Z",
    "2026-11-23T14:34:56.789+01:00",
    "2026-11-23T00:00:00Z",
    "2026-11-24T00:00:00",
    "2026-11-22 12:34:56,789",
];

pub fn case() -> impl Strategy<Value = Case> {
    (vec(order(), 1..=40), vec(request(), 1..=8)).prop_map(|(orders, requests)| {
        let by_id: BTreeMap<String, Order> =
            orders.into_iter().map(|order| (order.order_id.clone(), order)).collect();
        let orders: Vec<Order> = by_id.into_values().collect();
        let requests = requests.into_iter().map(|(mut request, existing)| {
            if !request.order_ids.is_empty() {
                let existing = existing.iter().map(|i| i.get(&orders).order_id.clone());
                request.order_ids.extend(existing);
                request.order_ids.sort();
                request.order_ids.dedup();
            }
            request
        });
        Case { requests: requests.collect(), orders }
    })
}

fn id() -> impl Strategy<Value = String> {
    let depth = prop_oneof![3 => Just(0_usize), 4 => Just(1), 3 => Just(2), 2 => Just(3)];
    let branches = depth.prop_flat_map(|depth| vec(select(BRANCHES), depth));
    let of_family = (select(ROOTS), branches).prop_map(|(root, branches)| {
        let mut id = root.to_owned();
        for branch in branches {
            id += "|";
            id += branch;
        }
        id
    });
    prop_oneof![3 => of_family, 1 => select(CYCLIC).prop_map(str::to_owned)]
}

fn version() -> impl Strategy<Value = String> {
    select(&["1", "1", "2", "3"][..]).prop_map(Into::into)
}

fn scheduled_for() -> impl Strategy<Value = Option<DateTime<Utc>>> {
    let edge = (select(EDGES), -1..=1_i64).prop_map(|(edge, ms)| {
        edge.parse::<DateTime<Utc>>().unwrap() + TimeDelta::milliseconds(ms)
    });
    let now = (-2..=3_i64).prop_map(|ms| start_time() + TimeDelta::milliseconds(ms));
    weighted(0.8, prop_oneof![2 => edge, 1 => now])
}

fn order() -> impl Strategy<Value = Order> {
    let marks = &["CANCELLING", "SUSPENDING", "RESUMING"][..];
    let flags = (weighted(0.3, select(marks)), prop::bool::weighted(0.2), any::<bool>());
    let others = (weighted(0.6, select(REASONS)), prop::bool::weighted(0.2));
    let named = (id(), select(WORKFLOWS), version(), prop::bool::weighted(0.6));
    (named, select(STATES), scheduled_for(), flags, others).prop_map(
        |((order_id, path, version, waits), state, scheduled_for, flags, (reason, removed))| {
            let state = if waits && CYCLIC.contains(&&*order_id) { "FRESH" } else { state };
            // Only what the schema allows.
            let (mark, suspended, killed) = flags;
            let terminal = TERMINAL.contains(&state);
            let suspended = suspended && !terminal && state != "RUNNING";
            let mark = mark.filter(|mark| !terminal && (suspended || *mark != "RESUMING"));
            Order {
                order_id,
                workflow: (path.to_owned(), version),
                state,
                suspended,
                mark,
                killed: killed
                    && state != "FRESH"
                    && matches!(mark, Some("CANCELLING" | "SUSPENDING")),
                scheduled_for,
                reason: reason.filter(|_| !terminal && state != "FRESH"),
                remove_when_terminated: removed,
                created: Some(start_time()),
            }
        },
    )
}

/// Arguments whose names collide and need quoting.
fn variables() -> impl Strategy<Value = Map<String, Value>> {
    let name = select(&["a", "a", "b", "ß", "q\"u\\o", "a.b", "$", "0"][..]);
    let value = prop_oneof![
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        select(&["", "it's", "\"\\\n", "null", "\u{10fffd}"][..]).prop_map(Value::from),
        Just(json!(1.5)),
        Just(json!([{"n": 1, "x\"": "y"}, {}])),
        Just(json!([])),
        Just(json!({"n": 1, "x\"": "y"})),
        Just(json!({"m": false})),
        Just(json!({})),
    ];
    vec((name, value), 0..=3).prop_map(|members| {
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    })
}

/// A list that is present with this probability.
fn list<T: Strategy>(probability: f64, item: T) -> impl Strategy<Value = Vec<T::Value>>
where
    T::Value: Clone,
{
    weighted(probability, vec(item, 1..=4)).prop_map(Option::unwrap_or_default)
}

fn request() -> impl Strategy<Value = (Request, Vec<Index>)> {
    let path = prop_oneof![3 => select(WORKFLOWS), 2 => select(NAMES), 1 => Just("/nowhere/x")];
    let workflow = (path.prop_map(str::to_owned), of(version()));
    let folder = (select(FOLDERS).prop_map(str::to_owned), of(any::<bool>()));
    let many = prop::bool::weighted(0.15);
    let folders = (list(0.6, folder), many).prop_map(|(mut folders, many)| {
        if many && !folders.is_empty() {
            folders.extend((0..40).map(|i| (format!("/none/{i}"), (i % 2 == 0).then_some(true))));
        }
        folders
    });
    let date = || weighted(0.17, select(DATES).prop_map(str::to_owned));
    let zones = &["Europe/Berlin", "Asia/Kolkata", ""][..];
    let zone = weighted(0.15, select(zones).prop_map(str::to_owned));
    let account = prop_oneof![8 => Just(0), 5 => 1..ACCOUNTS.len()];
    let order_type = of(select(&["FreshOnly", "FreshOrStarted"][..]));
    (
        (0..=2_i64, account, any::<bool>(), any::<bool>()),
        (list(0.2, id()), vec(any::<Index>(), 0..=6), list(0.25, workflow), folders),
        (list(0.2, select(EFFECTIVE)), list(0.1, select(TERMINAL)), list(0.05, select(NEVER))),
        (date(), date(), zone),
        (any::<bool>(), any::<bool>(), order_type),
        (
            (select(CALLS), any::<bool>()),
            any::<i32>(),
            of(select(vec![json!([0]), json!([2, "then", 0])])),
            of(variables()),
        ),
    )
        .prop_map(
            |(
                (pass, account, verbose, whole_cycles),
                subject,
                (mut states, terminal, never),
                dates,
                (kill, deep, order_type),
                ((call, reset), priority, position, variables),
            )| {
                // For other endpoints they select nothing, so few requests need them.
                if call == "remove_when_terminated" || account == 1 {
                    states.extend(terminal);
                }
                states.extend(never);
                let (order_ids, existing, workflow_ids, mut folders) = subject;
                let (date_from, date_to, time_zone) = dates;
                let pass = TimeDelta::milliseconds(pass);
                // Most requests without any selector would only be rejected.
                let lists = order_ids.len() + workflow_ids.len() + folders.len() + states.len();
                if lists == 0 && date_from.is_none() && date_to.is_none() && verbose {
                    folders.push(("/".into(), None));
                }
                let request = Request {
                    call,
                    reset,
                    priority,
                    position,
                    variables,
                    pass,
                    whole_cycles,
                    account,
                    order_ids,
                    workflow_ids,
                    folders,
                    states,
                    date_from,
                    date_to,
                    time_zone,
                    kill,
                    deep,
                    order_type,
                    verbose,
                };
                (request, existing)
            },
        )
}
