//! Tests that are skipped where PostgreSQL has Citus.

use tokio::sync::OnceCell;

use super::has_citus;
use crate::harness::{Database, Kind};

const CAPTURE: &str = "Citus has no capture of plain SQL";
const DOWN: &str = "migrations cannot be undone once the tables are distributed";
const TRIGGERS: &str = "its SQL adds triggers or switches them by name";
const ONE_SERVER: &str = "its SQL is for tables on one server";

/// Tests that Citus cannot take, and why.
const LEFT_OUT: [(&str, &str); 58] = [
    ("administration::migrations_are_recorded_and_the_trail_survives_them", DOWN),
    ("archive::a_change_of_the_cut_is_found", TRIGGERS),
    ("archive::a_trail_that_was_tampered_with_is_not_archived", TRIGGERS),
    ("archive::trouble::verifying_says_that_entries_were_archived_meanwhile", TRIGGERS),
    ("archived_orders::orders_are_archived_and_imported_again", CAPTURE),
    ("calls::concurrent_changes_keep_orders_and_audit_consistent", ONE_SERVER),
    ("capture::a_copy_takes_the_changes_and_has_capture_on", CAPTURE),
    ("capture::a_strict_check_reports_what_was_captured", CAPTURE),
    ("capture::check_reports_missing_and_changed_triggers", CAPTURE),
    ("capture::executors::an_executor_that_honours_marks_is_one_and_others_are_not", CAPTURE),
    ("capture::executors::the_documented_statements_are_executors", CAPTURE),
    ("capture::postgres_records_who_and_truncate", CAPTURE),
    ("capture::records_a_big_update_completely", CAPTURE),
    ("capture::records_another_number_of_digits", CAPTURE),
    ("capture::records_nothing_that_the_program_does", CAPTURE),
    ("capture::records_plain_sql", CAPTURE),
    ("capture::undoing_the_migration_removes_capture", CAPTURE),
    ("check::reports_planted_faults", DOWN),
    ("check::reports_the_row_of_an_invalid_instant", DOWN),
    ("check::schema::accepts_a_schema_migrated_back_and_forth", DOWN),
    ("check::schema::reports_a_changed_schema", TRIGGERS),
    ("check::schema::strict_reports_foreign_triggers", TRIGGERS),
    ("commands::migrate_goes_down_and_up", DOWN),
    ("copy::copies_everything_and_the_copy_takes_over", CAPTURE),
    ("docs::audit_queries_return_the_documented_rows", CAPTURE),
    ("first_minutes::replicas_started_together_show_one_password", DOWN),
    ("first_minutes::serve_logs_what_it_starts_with", DOWN),
    ("forgeries::a_copy_keeps_the_trail_unchanged", TRIGGERS),
    ("forgeries::rejects_entries_with_a_chosen_id", "a shard has no sequence to compare ids with"),
    ("forgeries::sealing::reports_forged_unsealed_rows", TRIGGERS),
    ("forgeries::sealing::verify_fails_on_old_unsealed_entries", TRIGGERS),
    ("migrate::records_only_migrations_that_the_schema_shows", DOWN),
    ("migrate::undoing_names_what_is_lost_and_asks", DOWN),
    ("openapi::accepts_whole_numbers_with_a_decimal_point", ONE_SERVER),
    ("plans::every_selection_uses_a_suitable_index", "EXPLAIN shows no plan of another server"),
    ("plans::trail::ready_queries_use_a_suitable_index", TRIGGERS),
    ("readers::reports_an_older_schema_and_leaves_it_alone", DOWN),
    ("schema::changes::the_audit_trail_is_append_only", ONE_SERVER),
    ("schema::computed::folders_names_and_parents_are_computed", ONE_SERVER),
    ("schema::migrations_go_down_and_up", DOWN),
    ("schema::the_migration_files_run_by_themselves", DOWN),
    ("seals::an_unchanged_trail_is_intact", TRIGGERS),
    ("seals::exported_seals_reveal_what_the_chain_cannot", TRIGGERS),
    ("seals::reports_a_changed_row", TRIGGERS),
    ("seals::reports_a_changed_seal", TRIGGERS),
    ("seals::reports_a_removed_row", TRIGGERS),
    ("seals::reports_an_inserted_row", TRIGGERS),
    ("seals::reports_swapped_rows", TRIGGERS),
    ("stop::a_restart_under_load_loses_no_request", ONE_SERVER),
    ("stop::migrates_an_older_schema_on_start", DOWN),
    ("transaction::concurrent_requests_for_the_same_orders_act_once", ONE_SERVER),
    ("upgrade::an_upgrade_lets_others_through_and_continues_when_it_can", DOWN),
    ("upgrade::an_upgrade_without_a_lock_ends_and_changes_nothing", DOWN),
    ("wrong_rows::an_old_invalid_session_does_not_block_a_copy", DOWN),
    ("wrong_rows::changes_a_role_with_an_old_invalid_folder", DOWN),
    ("wrong_rows::old_wrong_rows_are_reported_and_not_copied", DOWN),
    ("wrong_rows::old_wrong_rows_block_nothing", DOWN),
    ("wrong_rows::rejects_updates_that_make_a_row_wrong", ONE_SERVER),
];

/// Whether a test is left out, since the cluster has Citus.
pub async fn leaves_out(module: &str) -> bool {
    static HAS_CITUS: OnceCell<bool> = OnceCell::const_new();
    let name = module.trim_start_matches("it::");
    let Some((_, why)) = LEFT_OUT.iter().find(|(left_out, _)| *left_out == name) else {
        return false;
    };
    let look = || async { has_citus(&Database::create(Kind::Postgres).await).await };
    let is_left_out = *HAS_CITUS.get_or_init(look).await;
    if is_left_out {
        eprintln!("skipped with Citus: {why}");
    }
    is_left_out
}
