//! Which orders a request selects.

use chrono::{DateTime, Utc};
use joc_orders::model::window::Window;

use super::case::{ACCOUNTS, FAILED_AS, Request, padded};
use super::generate::{EFFECTIVE, TERMINAL};
use super::model::ModelOrder;
use crate::harness::Order;

pub fn is_living(order: &Order) -> bool {
    order.state != "FINISHED" && order.state != "CANCELLED"
}

pub fn is_below(id: &str, ancestor: &str) -> bool {
    id.starts_with(&format!("{ancestor}|"))
}

pub fn effective(order: &Order, now: DateTime<Utc>) -> &'static str {
    if !is_living(order) {
        order.state
    } else if order.suspended {
        "SUSPENDED"
    } else if order.state == "FRESH" {
        match order.scheduled_for {
            None => "PENDING",
            Some(at) if at >= now => "SCHEDULED",
            Some(_) => "BLOCKED",
        }
    } else {
        order.state
    }
}

/// Whether an account with these folders sees the order.
pub fn is_visible(order: &Order, account: usize) -> bool {
    let limits = padded(ACCOUNTS[account], account);
    account == 0 || limits.iter().any(|(folder, recursive)| is_in(order, folder, *recursive))
}

/// Whether the request could affect the order at all, named or as a descendant.
pub fn in_reach(order: &Order, request: &Request, now: DateTime<Utc>) -> bool {
    let failed = request.call == "resume" && effective(order, now) == "FAILED";
    let account = if failed { FAILED_AS[request.account] } else { Some(request.account) };
    let visible = account.is_some_and(|account| is_visible(order, account));
    let started = order.state != "FRESH";
    let fresh_only = request.order_type == Some("FreshOnly");
    let within = match request.call {
        "remove_when_terminated" => !order.remove_when_terminated,
        _ => is_living(order),
    };
    within && visible && !(fresh_only && started)
}

/// What the ids of a cycle's orders begin with, if this is one of them.
pub fn cycle_of(id: &str) -> Option<String> {
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let parts: Vec<&str> = id.splitn(4, '-').collect();
    let [year, month, day_and_number, _] = parts[..] else { return None };
    let (day, number) = day_and_number.split_once("#C")?;
    let year = year.strip_prefix('#')?;
    let is_date = [(year, 4), (month, 2), (day, 2)].iter().all(|(t, n)| t.len() == *n && digits(t));
    let is_cyclic = is_date && digits(number) && !number.is_empty() && !id.contains('|');
    is_cyclic.then(|| format!("#{year}-{month}-{day}#C{number}-"))
}

/// The request with the ids of every order for which its ids stand.
pub fn with_cycles(orders: &[ModelOrder], request: &Request, now: DateTime<Utc>) -> Request {
    let mut request = request.clone();
    if !request.whole_cycles || !matches!(request.call, "cancel" | "suspend" | "resume" | "change")
    {
        return request;
    }
    let mut cycles = Vec::new();
    for order in orders {
        let named = request.order_ids.contains(&order.order_id);
        if named && order.state == "FRESH" && in_reach(order, &request, now) {
            cycles.extend(cycle_of(&order.order_id));
        }
    }
    for order in orders {
        let taken = cycle_of(&order.order_id).is_some_and(|cycle| cycles.contains(&cycle));
        if taken && order.state == "FRESH" && !request.order_ids.contains(&order.order_id) {
            request.order_ids.push(order.order_id.clone());
        }
    }
    request
}

/// Whether the request's fields select the order.
pub fn matches(order: &Order, request: &Request, window: &Window, now: DateTime<Utc>) -> bool {
    let by_id = !request.order_ids.is_empty();
    let named = if by_id {
        request.order_ids.contains(&order.order_id)
    } else if !request.workflow_ids.is_empty() {
        request.workflow_ids.iter().any(|(path, version)| {
            let same = path == &order.workflow.0 || path == name_of(&order.workflow.0);
            same && (version.is_none() || version.as_ref() == Some(&order.workflow.1))
        })
    } else if !request.folders.is_empty() {
        request
            .folders
            .iter()
            .any(|(folder, recursive)| is_in(order, folder, *recursive != Some(false)))
    } else {
        true
    };
    let in_state =
        by_id || request.states.is_empty() || request.states.contains(&effective(order, now));
    let after = match (window.from, order.scheduled_for) {
        (None, _) => true,
        (Some(from), Some(at)) => from <= at,
        (Some(_), None) => false,
    };
    let before = match (window.to, order.scheduled_for) {
        (None, _) => true,
        (Some(to), Some(at)) => at < to,
        (Some(_), None) => false,
    };
    named && in_state && after && before
}

/// Whether the request names a folder or the path of a workflow where its account sees nothing.
pub fn names_hidden(request: &Request) -> bool {
    let states = &request.states;
    let can_be = |state: &&str| {
        EFFECTIVE.contains(state)
            || request.call == "remove_when_terminated" && TERMINAL.contains(state)
    };
    let in_no_state = !states.is_empty() && !states.iter().any(can_be);
    if !request.order_ids.is_empty() || in_no_state {
        return false;
    }
    let failed = FAILED_AS[request.account].filter(|_| request.call == "resume");
    let accounts: Vec<usize> = [request.account].into_iter().chain(failed).collect();
    if accounts.contains(&0) {
        return false;
    }
    let visible: Vec<_> =
        accounts.iter().flat_map(|account| padded(ACCOUNTS[*account], *account)).collect();
    let within = |folder: &str, of: &str, recursive: bool| {
        folder == of || recursive && (of == "/" || folder.starts_with(&format!("{of}/")))
    };
    if !request.workflow_ids.is_empty() {
        return request.workflow_ids.iter().any(|(path, _)| {
            path.starts_with('/')
                && !visible.iter().any(|(of, below)| within(&folder_of(path), of, *below))
        });
    }
    // A folder that lies in another one is not looked at by itself.
    let lies_in_another = |folder: &str, recursive: bool| {
        request.folders.iter().any(|(of, below)| {
            *below != Some(false)
                && if of == folder { !recursive } else { within(folder, of, true) }
        })
    };
    request.folders.iter().any(|(folder, recursive)| {
        let recursive = *recursive != Some(false);
        !lies_in_another(folder, recursive)
            && !visible
                .iter()
                .any(|(of, below)| within(folder, of, *below) || within(of, folder, recursive))
    })
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

pub fn folder_of(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').collect();
    let folder = segments[..segments.len() - 1].join("/");
    if folder.is_empty() { "/".into() } else { folder }
}

fn is_in(order: &Order, folder: &str, recursive: bool) -> bool {
    let of_order = folder_of(&order.workflow.0);
    if of_order == folder {
        return true;
    }
    recursive && (folder == "/" || of_order.starts_with(&format!("{folder}/")))
}
