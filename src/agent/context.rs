//! What the agent and each of its runs share.

use std::sync::Arc;

use crate::store::runs::LeaseHolder;
use crate::store::{Result, Store};

/// The store, and on whose behalf it is used.
#[derive(Clone)]
pub(super) struct Context {
    pub store: Arc<dyn Store>,
    pub holder: LeaseHolder,
}

impl Context {
    /// Lets the parents of an order that has ended continue or end, if it was the last child.
    pub(super) async fn join_parents(&self, order_id: &str) {
        if let Err(error) = self.try_join(order_id).await {
            // The next turn tries again.
            tracing::warn!(order = order_id, %error, "cannot join the parent");
        }
    }

    async fn try_join(&self, order_id: &str) -> Result<()> {
        let controller_id = &self.holder.controller_id;
        if let Some((parent, _)) = order_id.rsplit_once('|') {
            self.store.join(controller_id, parent).await?;
        }
        loop {
            let ended = self.store.end_cancelled_parents(controller_id).await?;
            for (parent, _) in ended.iter().filter_map(|id| id.rsplit_once('|')) {
                self.store.join(controller_id, parent).await?;
            }
            if ended.is_empty() {
                return Ok(());
            }
        }
    }
}
