//! Methods of a store that no target reaches.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use joc_orders::model::finding::Finding;
use joc_orders::model::folders::Folder;
use joc_orders::model::permission::Limits;
use joc_orders::model::seal::SealLine;
use joc_orders::store::check::{Checks, RowCounts};
use joc_orders::store::copy::{Copies, CopyBatch, CopyProgress};
use joc_orders::store::export::Exports;
use joc_orders::store::runs::{
    Continuing, LeaseHolder, Marked, Outcome, Reported, Run, Runs, Taken, Watch,
};
use joc_orders::store::seals::{Due, FindingSink, SealMaker, Seals, Unsealed, Verified};
use joc_orders::store::{Account, Accounts, Differences, Health, Item, PoolUse, Result, Role};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::NoDatabase;

#[async_trait]
impl Checks for NoDatabase {
    async fn check_schema(&self, _: bool) -> Result<Differences> {
        unreachable!()
    }

    async fn looked_at(&self) -> Result<RowCounts> {
        unreachable!()
    }

    fn check(&self, _: bool) -> BoxStream<'static, Result<Finding>> {
        unreachable!()
    }

    fn check_rows(&self) -> BoxStream<'static, Result<Finding>> {
        unreachable!()
    }
}

#[async_trait]
impl Runs for NoDatabase {
    async fn workflow_paths(&self, _: &str, _: &[String]) -> Result<Vec<String>> {
        unreachable!()
    }

    async fn take_due(&self, _: &LeaseHolder, _: &[String], _: u32) -> Result<Vec<Taken>> {
        unreachable!()
    }

    async fn continuing(&self, _: &str) -> Result<Vec<Continuing>> {
        unreachable!()
    }

    async fn run_again(&self, _: &LeaseHolder, _: &str) -> Result<Option<Taken>> {
        unreachable!()
    }

    async fn report(
        &self,
        _: &LeaseHolder,
        _: &str,
        _: i64,
        _: &str,
        _: &Outcome,
    ) -> Result<Reported> {
        unreachable!()
    }

    async fn marks(&self, _: &str) -> Result<Vec<Marked>> {
        unreachable!()
    }

    async fn settle(&self, _: &str, _: &str) -> Result<Option<String>> {
        unreachable!()
    }

    async fn join(&self, _: &str, _: &str) -> Result<bool> {
        unreachable!()
    }

    async fn end_cancelled_parents(&self, _: &str) -> Result<Vec<String>> {
        unreachable!()
    }

    async fn renew(&self, _: &LeaseHolder, _: &[String]) -> Result<Vec<(String, i64)>> {
        unreachable!()
    }

    async fn expired(&self, _: &str) -> Result<Vec<(String, i64, String)>> {
        unreachable!()
    }

    async fn take_over(&self, _: &str, _: &str, _: i64, _: &str) -> Result<Reported> {
        unreachable!()
    }

    /// Histories ask for them.
    async fn runs(&self, _: &str, _: &str) -> Result<Vec<Run>> {
        Ok(Vec::new())
    }

    async fn watch_marks(&self) -> Result<Box<dyn Watch>> {
        unreachable!()
    }
}

#[async_trait]
impl SealMaker for NoDatabase {
    async fn seal(&self, _: DateTime<Utc>) -> Result<u64> {
        unreachable!()
    }

    async fn unsealed(&self) -> Result<Unsealed> {
        unreachable!()
    }
}

#[async_trait]
impl Seals for NoDatabase {
    async fn verify(&self, _: Due, _: FindingSink<'_>) -> Result<Vec<Verified>> {
        unreachable!()
    }

    async fn export_seals(&self, _: &mut (dyn FnMut(SealLine) -> bool + Send)) -> Result<()> {
        unreachable!()
    }

    async fn cuts(&self) -> Result<Vec<joc_orders::model::archive::Cut>> {
        unreachable!()
    }

    async fn find_seal(&self, _: &str, _: i64) -> Result<Option<SealLine>> {
        unreachable!()
    }
}

#[async_trait]
impl Exports for NoDatabase {
    async fn export(&self, _: Option<&str>, _: Sender<Vec<Item>>) -> Result<()> {
        unreachable!()
    }
}

#[async_trait]
impl Copies for NoDatabase {
    async fn size(&self) -> Result<u64> {
        unreachable!()
    }

    async fn dump(&self, _: Sender<CopyBatch>) -> Result<()> {
        unreachable!()
    }

    async fn load(&self, _: Receiver<CopyBatch>, _: &str, _: CopyProgress<'_>) -> Result<bool> {
        unreachable!()
    }
}

#[async_trait]
impl Accounts for NoDatabase {
    async fn has_accounts(&self) -> Result<bool> {
        unreachable!()
    }

    async fn password_hash(&self, _: &str) -> Result<Option<String>> {
        unreachable!()
    }

    async fn add_account_if(
        &self,
        _: &str,
        _: &str,
        _: &[String],
        _: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<()> {
        unreachable!()
    }

    async fn set_password(&self, _: &str, _: &str) -> Result<()> {
        unreachable!()
    }

    async fn set_disabled(&self, _: &str, _: bool) -> Result<()> {
        unreachable!()
    }

    async fn remove_account(&self, _: &str) -> Result<()> {
        unreachable!()
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        unreachable!()
    }

    async fn add_role(&self, _: &str) -> Result<()> {
        unreachable!()
    }

    async fn remove_role(&self, _: &str) -> Result<()> {
        unreachable!()
    }

    async fn grant(&self, _: &str, _: &str, _: &str) -> Result<()> {
        unreachable!()
    }

    async fn revoke(&self, _: &str, _: &str, _: &str) -> Result<()> {
        unreachable!()
    }

    async fn limit(&self, _: &str, _: &[Folder]) -> Result<Vec<Folder>> {
        unreachable!()
    }

    async fn change_limit(&self, _: &str, _: &Limits) -> Result<(Vec<Folder>, Vec<Folder>)> {
        unreachable!()
    }

    async fn assign(&self, _: &str, _: &str) -> Result<()> {
        unreachable!()
    }

    async fn unassign(&self, _: &str, _: &str) -> Result<()> {
        unreachable!()
    }

    async fn roles(&self) -> Result<Vec<Role>> {
        unreachable!()
    }
}

#[async_trait]
impl Health for NoDatabase {
    async fn ready(&self) -> Result<()> {
        unreachable!()
    }

    fn pools(&self) -> Vec<PoolUse> {
        unreachable!()
    }
}
