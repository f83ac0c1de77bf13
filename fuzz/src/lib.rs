//! What the fuzz targets share: a store without a database, which checks its input.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use joc_orders::model::action::Action;
use joc_orders::model::audit::{AuditEntry, AuditFilter, Outcome};
use joc_orders::model::order::EffectiveState;
use joc_orders::model::permission::{EVERY_CONTROLLER, Extent, Grant, Principal, Visible};
use joc_orders::model::selection::{Selection, Sight};
use joc_orders::model::window::Window;
use joc_orders::model::window::buckets::Bounds;
use joc_orders::store::add::{Added, Addition, Additions, CurrentWorkflow};
use joc_orders::store::list::{HistoryFilter, ListedOrder, Lists, PastOrder, Wanted};
use joc_orders::store::overview::{CancellingOrder, Overviews, Requests, Schedule, WorkflowCounts};
use joc_orders::store::undo::{LeftOrders, Undo, UndoneEntry};
use joc_orders::store::*;

pub mod limits;
mod unreached;

/// A store that knows every controller and workflow, and one order, and keeps what is imported.
#[derive(Debug, Default)]
pub struct NoDatabase {
    /// The imported items.
    pub items: Arc<Mutex<Vec<Item>>>,
}

fn at() -> StoredInstant {
    StoredInstant(DateTime::UNIX_EPOCH)
}

#[async_trait]
impl Orders for NoDatabase {
    async fn knows_controller(&self, controller_id: &str) -> Result<bool> {
        limits::controller(controller_id);
        Ok(true)
    }

    async fn change_orders(&self, change: &Change) -> Result<Changed> {
        limits::selection(&change.selection);
        limits::limited(&change.selection);
        limits::action(&change.action);
        limits::audit(&change.audit);
        Ok(Changed::Done { audit_log_id: 1, affected: 1 })
    }

    async fn preview(&self, selection: &Selection, action: &Action, _: u32) -> Result<Preview> {
        limits::selection(selection);
        limits::limited(selection);
        limits::action(action);
        Ok(Preview::default())
    }

    async fn plan(&self, _: &Selection, _: &Action) -> Result<Vec<String>> {
        unreachable!()
    }
}

#[async_trait]
impl Undo for NoDatabase {
    async fn find_undone(&self, _: &str, _: i64, _: &[Sight]) -> Result<Option<UndoneEntry>> {
        let request = "./orders/cancel".to_owned();
        let outcome = Outcome::Done.as_str().to_owned();
        Ok(Some(UndoneEntry { request, outcome, is_seen: true, undone_by: None }))
    }

    async fn left(
        &self,
        selection: &Selection,
        _: i64,
        _: Option<i64>,
        _: u32,
    ) -> Result<LeftOrders> {
        limits::selection(selection);
        Ok(LeftOrders::default())
    }
}

#[async_trait]
impl Additions for NoDatabase {
    async fn current_workflows(
        &self,
        controller_id: &str,
        _: &Visible,
        asked: &[&str],
    ) -> Result<Vec<CurrentWorkflow>> {
        limits::controller(controller_id);
        asked.iter().for_each(|path| limits::workflow(path));
        let current = |asked: &&str| CurrentWorkflow {
            asked: (*asked).into(),
            path: (*asked).into(),
            version_id: "1".into(),
        };
        Ok(asked.iter().map(current).collect())
    }

    async fn add_orders(&self, addition: &Addition) -> Result<Added> {
        assert!(!addition.orders.is_empty());
        addition.orders.iter().for_each(limits::added);
        limits::audit(&addition.audit);
        Ok(Added { audit_log_id: 1, order_ids: vec![] })
    }
}

#[async_trait]
impl Keys for NoDatabase {
    async fn added_before(&self, _: &AuditEntry) -> Result<Option<Added>> {
        Ok(None)
    }

    async fn forget_keys(&self) -> Result<u64> {
        unreachable!()
    }
}

#[async_trait]
impl Overviews for NoDatabase {
    async fn counts_by_workflow(&self, selection: &Selection) -> Result<WorkflowCounts> {
        limits::selection(selection);
        Ok(WorkflowCounts::new())
    }

    async fn schedule(&self, selection: &Selection, bounds: &Bounds) -> Result<Schedule> {
        limits::selection(selection);
        limits::bounds(bounds);
        Ok(Schedule { buckets: vec![1; bounds.buckets().len()], ..Schedule::default() })
    }

    async fn cancelling(
        &self,
        selection: &Selection,
        _: u32,
    ) -> Result<(u64, Vec<CancellingOrder>)> {
        limits::selection(selection);
        Ok((0, vec![]))
    }

    async fn requests(&self, _: &AuditFilter, bounds: &Bounds) -> Result<Vec<Requests>> {
        limits::bounds(bounds);
        Ok(vec![Requests::default(); bounds.buckets().len()])
    }
}

#[async_trait]
impl Lists for NoDatabase {
    fn orders(
        &self,
        selection: &Selection,
        limit: Option<u64>,
        wanted: Option<Wanted<ListedOrder>>,
    ) -> BoxStream<'static, Result<ListedOrder>> {
        limits::selection(selection);
        assert_ne!(limit, Some(0));
        let order = ListedOrder {
            order_id: "#2026-11-23#P1-eod".into(),
            workflow_path: "/sos/billing/eod".into(),
            workflow_version_id: "1".into(),
            state: "FRESH".into(),
            effective_state: EffectiveState::Scheduled,
            mark: None,
            kill_requested: None,
            reason: None,
            scheduled_for: Some(at()),
            priority: 0,
            arguments: "{}".into(),
            position: None,
            has_children: false,
        };
        let is_wanted = wanted.is_none_or(|wanted| wanted(&order));
        stream::iter(is_wanted.then_some(Ok(order))).boxed()
    }

    async fn snapshot(&self, selection: &Selection) -> Result<Vec<(EffectiveState, u64)>> {
        limits::selection(selection);
        Ok(vec![])
    }

    async fn past_counts(
        &self,
        selection: &Selection,
        filter: &HistoryFilter,
    ) -> Result<Vec<(EffectiveState, u64)>> {
        limits::selection(selection);
        limits::window(&filter.completed);
        Ok(vec![])
    }

    fn history(
        &self,
        selections: &[Selection],
        filter: &HistoryFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<PastOrder>> {
        selections.iter().for_each(limits::selection);
        limits::window(&filter.completed);
        for text in [&filter.order_id, &filter.workflow_path, &filter.workflow_name] {
            text.iter().for_each(|text| limits::name(text));
        }
        filter.exclude_workflows.iter().for_each(|path| limits::workflow(path));
        for (path, order_id) in &filter.orders {
            limits::workflow(path);
            order_id.iter().for_each(|id| limits::name(id));
        }
        assert_ne!(limit, Some(0));
        let order = PastOrder {
            controller_id: selections[0].controller_id.clone(),
            order_id: "#2026-11-23#P1-eod".into(),
            history_id: 1,
            workflow_path: "/sos/billing/eod".into(),
            workflow_version_id: "1".into(),
            effective_state: EffectiveState::Finished,
            scheduled_for: None,
            started: at(),
            state_since: at(),
            modified: at(),
            arguments: "{}".into(),
            position: None,
        };
        stream::iter([Ok(order)]).boxed()
    }
}

#[async_trait]
impl Audit for NoDatabase {
    async fn record(&self, _: &AuditEntry, _: Outcome) -> Result<()> {
        unreachable!()
    }

    async fn trail(&self, controller_id: &str, order_id: &str) -> Result<Vec<Touch>> {
        limits::controller(controller_id);
        limits::name(order_id);
        Ok(vec![])
    }

    fn entries(&self, filter: &AuditFilter, _: Option<u64>) -> BoxStream<'static, Result<Entry>> {
        filter.extent.controllers.iter().for_each(|(id, _)| limits::controller(id));
        limits::window(&filter.window);
        limits::folders(&filter.folders);
        let AuditFilter { account, comment, ticket_link, object_name, request, request_id, .. } =
            filter;
        for text in [account, comment, ticket_link, object_name, request, request_id] {
            text.iter().for_each(|text| limits::name(text));
        }
        assert!(filter.id.is_none_or(|id| id >= 0));
        stream::empty().boxed()
    }

    fn details(
        &self,
        id: i64,
        extent: &Extent,
        order_id: Option<&str>,
    ) -> BoxStream<'static, Result<Detail>> {
        assert!(id >= 0);
        order_id.iter().for_each(|id| limits::name(id));
        extent.controllers.iter().for_each(|(id, _)| limits::controller(id));
        stream::empty().boxed()
    }
}

#[async_trait]
impl Workflows for NoDatabase {
    async fn controllers(&self) -> Result<Vec<String>> {
        Ok(vec!["prod".into()])
    }

    async fn workflows(&self, filter: &WorkflowFilter) -> Result<Vec<Workflow>> {
        limits::controller(&filter.controller_id);
        limits::workflows(&filter.named);
        limits::folders(&filter.folders);
        let (path, version_id) = ("/sos/billing/eod".into(), "1".into());
        Ok(vec![Workflow { path, version_id, created: at(), is_current: true }])
    }

    async fn order_counts(
        &self,
        filter: &WorkflowFilter,
        _: DateTime<Utc>,
        window: Window,
        horizon: Option<DateTime<Utc>>,
    ) -> Result<OrderCounts> {
        limits::controller(&filter.controller_id);
        limits::workflows(&filter.named);
        limits::window(&window);
        horizon.iter().for_each(limits::instant);
        Ok(OrderCounts::new())
    }

    async fn workflow_folders(&self, controller_id: &str, _: &Visible) -> Result<Vec<String>> {
        limits::controller(controller_id);
        Ok(vec!["/sos/billing".into()])
    }
}

#[async_trait]
impl Sessions for NoDatabase {
    async fn open_session(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: DateTime<Utc>,
        _: DateTime<Utc>,
    ) -> Result<bool> {
        unreachable!()
    }

    async fn touch_session(
        &self,
        _: &str,
        _: DateTime<Utc>,
        _: DateTime<Utc>,
    ) -> Result<Option<Principal>> {
        let grant = Grant {
            permission: "sos:products".into(),
            controller_id: EVERY_CONTROLLER.into(),
            folders: vec![],
        };
        Ok(Some(Principal { account: "root".into(), roles: vec![], grants: vec![grant] }))
    }

    async fn close_session(&self, _: &str) -> Result<()> {
        unreachable!()
    }
}

struct Kept(Arc<Mutex<Vec<Item>>>);

#[async_trait]
impl Import for Kept {
    async fn add(&mut self, items: &[Item]) -> Result<Imported> {
        items.iter().for_each(limits::item);
        self.0.lock().unwrap().extend_from_slice(items);
        let inserted = items.iter().filter(|item| item.order.is_some()).count() as u64;
        Ok(Imported { inserted, ..Imported::default() })
    }

    async fn commit(self: Box<Self>, _: Option<&str>, _: serde_json::Value) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Store for NoDatabase {
    async fn begin_import(&self, _: bool) -> Result<Box<dyn Import>> {
        Ok(Box::new(Kept(self.items.clone())))
    }

    async fn close(&self) {
        unreachable!()
    }
}
