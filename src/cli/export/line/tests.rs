#![allow(clippy::unwrap_used)]

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::cli::import::parse_one;
use crate::model::order::{Mark, State};
use crate::store::Life;

#[test]
fn numbers_are_written_out() {
    for (number, plain_text) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.00", "0.00"),
        ("0e5", "0"),
        ("1e3", "1000"),
        ("1.25e1", "12.5"),
        ("1.25e2", "125"),
        ("-1.25e+4", "-12500"),
        ("0.5e1", "5"),
        ("12.5e-2", "0.125"),
        ("1e-3", "0.001"),
        ("100.00", "100.00"),
        ("12345678901234567890.1234567890", "12345678901234567890.1234567890"),
    ] {
        let number: Number = number.parse().unwrap();
        let written = plain(&number).unwrap_or_else(|| number.clone());
        assert_eq!(written.as_str(), plain_text, "{number}");
    }
}

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_000_i64..=253_402_300_799_999)
        .prop_map(|millis| DateTime::from_timestamp_millis(millis).unwrap())
}

prop_compose! {
    fn life(state: State, mark: Option<Mark>)(
        created in instant(),
        started in 0_i64..1_000_000,
        has_started in any::<bool>(),
        since in proptest::option::of(0_i64..1_000_000),
        kill in proptest::option::of(0_i64..15_000),
        removed in any::<bool>(),
    ) -> Life {
        let after = |millis| created + chrono::TimeDelta::milliseconds(millis);
        let is_killable = state != State::Fresh
            && matches!(mark, Some(Mark::Cancelling | Mark::Suspending));
        let kill = kill.filter(|_| is_killable);
        let last: DateTime<Utc> = "9998-01-01T00:00:00Z".parse().unwrap();
        let created = created.min(last);
        let after = |millis| after(millis).max(created);
        Life {
            created: Some(created),
            started: (has_started && state != State::Fresh).then(|| after(started)),
            state_since: since.map(after),
            kill_requested: kill.map(|_| created),
            sigkill_at: kill.map(|wait| created + chrono::TimeDelta::milliseconds(wait)),
            remove_when_terminated: Some(removed),
        }
    }
}

fn states() -> impl Strategy<Value = (State, bool, Option<Mark>)> {
    use State::*;
    let state = prop::sample::select(vec![
        Fresh, Running, InProgress, Waiting, Prompting, Failed, Finished, Cancelled,
    ]);
    let mark = prop::sample::select(vec![
        None,
        Some(Mark::Cancelling),
        Some(Mark::Suspending),
        Some(Mark::Resuming),
    ]);
    (state, any::<bool>(), mark).prop_map(|(state, suspended, mark)| {
        let suspended = suspended && state != Running && !state.is_terminal();
        let mark =
            mark.filter(|mark| !state.is_terminal() && (*mark != Mark::Resuming || suspended));
        (state, suspended, mark)
    })
}

fn arguments() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?(e[+-]?[0-9]{1,2})?"
        .prop_map(|text| text.parse::<Number>().unwrap().into());
    let scalar = || {
        prop_oneof![
            "[^\0]{0,20}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            number.clone(),
        ]
    };
    let name = || "[a-zA-Z_ü日\"' ]{1,10}";
    let object = || {
        prop::collection::btree_map(name(), scalar(), 0..3)
            .prop_map(|members| members.into_iter().collect::<Map<_, _>>())
    };
    let value = prop_oneof![
        scalar(),
        object().prop_map(Value::Object),
        prop::collection::vec(object().prop_map(Value::Object), 0..3).prop_map(Value::Array),
    ];
    prop::collection::btree_map(name(), value, 0..4).prop_map(|members| {
        written_out(members.into_iter().collect::<Map<_, _>>().into()).to_string()
    })
}

proptest! {
    /// What is written is read as it was.
    #[test]
    fn a_line_loses_nothing(
        ((state, suspended, mark), life) in states()
            .prop_flat_map(|all| (Just(all), life(all.0, all.2))),
        order_id in "[^|\\pC]{1,20}(\\|[a-zü日]{1,5}){0,2}",
        reason in proptest::option::of("[A-Z][A-Z_]{0,20}"),
        scheduled_for in proptest::option::of(instant()),
        priority in any::<i32>(),
        arguments in arguments(),
        position in proptest::option::of(Just("[2,\"then\",0]".to_owned())),
    ) {
        let order = NewOrder {
            order_id,
            state,
            suspended,
            mark,
            reason: reason.filter(|_| state.may_wait()),
            scheduled_for,
            priority,
            arguments,
            position,
            life,
        };
        let item = Item {
            controller_id: "prod".into(),
            workflow_path: "/sos/Größe".into(),
            workflow_version_id: "1".into(),
            version_date: None,
            order: Some(order),
        };
        let written = line(&item).unwrap();
        prop_assert_eq!(parse_one(&written), Ok(item), "{}", written);
    }
}
