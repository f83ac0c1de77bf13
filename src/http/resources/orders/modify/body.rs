//! The bodies of requests that change orders.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;

use crate::http::context::audit::AuditLog;
use crate::http::context::body::{Object, RequestBody, Unsupported, Whole};
use crate::http::context::lists::{List, Names, ORDER_IDS, Words};
use crate::model::action::Action;
use crate::model::arguments::{Arguments, Position, check_arguments, check_position};
use crate::model::folders::Folder;
use crate::model::invalid::Invalid;
use crate::model::json::{Json, JsonObject};
use crate::model::order::StateWord;
use crate::model::selection::MAX_PREVIEWED;
use crate::model::texts;
use crate::model::workflow_id::WorkflowId;

/// The default number of orders in a preview.
pub const PREVIEWED: u32 = 1000;
/// The fields that one of JOC's endpoints takes and its clients send along to the others.
pub const SENT_ALONG: &[&str] = &[
    "orders",
    "reset",
    "force",
    "fromCurrentBlock",
    "position",
    "priority",
    "variables",
    "cycleEndTime",
];

/// The body of a request that changes orders.
pub trait ChangeBody: RequestBody + 'static {
    /// What all of these bodies have.
    fn common(self) -> ModifyOrders;
}

/// Declares a body from its own fields. (`serde(flatten)` would lose the digits of numbers, unknown
/// fields, and the places of errors.)
macro_rules! change_body {
    ($(#[$attribute:meta])* $name:ident { $($own:tt)* }) => {
        /// Selects the orders that match every field. Absent, `null` and an empty list mean the
        /// same. At least one of `orderIds`, `workflowIds`, `folders`, `states`, `dateFrom` and
        /// `dateTo` is required, unless the service is set to take a request without any as every
        /// order.
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        $(#[$attribute])*
        pub struct $name {
            #[schemars(with = "texts::ControllerId")]
            pub controller_id: String,
            /// These orders; `workflowIds`, `folders` and `states` are then ignored. If the service
            /// is set to take whole cycles, an id stands for every fresh order of its cycle in
            /// `/orders/cancel`, `suspend`, `resume` and `change`.
            #[schemars(with = "Option<List<texts::OrderId, ORDER_IDS>>", extend("uniqueItems" = true))]
            pub order_ids: Option<List<String, ORDER_IDS>>,
            /// Orders of these workflows; `folders` is then ignored.
            pub workflow_ids: Option<Names<Object<WorkflowId>>>,
            /// Orders of the workflows in these folders; `/` with `recursive` selects every
            /// order.
            pub folders: Option<Names<Object<Folder>>>,
            /// Orders in one of these effective states. A state in which the endpoint leaves
            /// orders alone selects nothing.
            pub states: Option<Words<StateWord>>,
            /// Scheduled at this instant or later. A relative date without a sign is in the
            /// future, or in the past if the window would otherwise be empty.
            #[schemars(with = "Option<texts::DateOrPeriod>")]
            pub date_from: Option<String>,
            /// Scheduled before this instant.
            #[schemars(with = "Option<texts::DateOrPeriod>")]
            pub date_to: Option<String>,
            /// Time zone of the dates, which overrides their offsets; UTC by default.
            #[schemars(with = "Option<texts::TimeZone>")]
            pub time_zone: Option<String>,
            /// Sends SIGTERM to running jobs, and SIGKILL after a delay (a setting; 15 seconds
            /// by default). Only for `/orders/cancel` and `/orders/suspend`.
            #[schemars(extend("default" = false))]
            pub kill: Option<bool>,
            /// Includes child orders that are not terminal. Only for `/orders/cancel` and
            /// `/orders/suspend`.
            #[schemars(extend("default" = false))]
            pub deep: Option<bool>,
            /// `FreshOnly` leaves started orders alone.
            #[schemars(extend("default" = "FreshOrStarted"))]
            pub order_type: Option<OrderType>,
            /// Rejects the request if it would affect more orders than this.
            pub max_orders: Option<Whole<u64>>,
            /// The reason.
            pub audit_log: Option<Object<AuditLog>>,
            /// Maximum number of orders to list; all are counted.
            #[schemars(extend("default" = PREVIEWED, "maximum" = MAX_PREVIEWED))]
            pub limit: Option<Whole<u32>>,
            $($own)*
        }

        impl RequestBody for $name {
            const IGNORED: Option<&'static [&'static str]> = Some(SENT_ALONG);
        }

        impl ChangeBody for $name {
            fn common(self) -> ModifyOrders {
                ModifyOrders {
                    controller_id: self.controller_id,
                    order_ids: self.order_ids,
                    workflow_ids: self.workflow_ids,
                    folders: self.folders,
                    states: self.states,
                    date_from: self.date_from,
                    date_to: self.date_to,
                    time_zone: self.time_zone,
                    kill: self.kill,
                    deep: self.deep,
                    order_type: self.order_type,
                    max_orders: self.max_orders,
                    audit_log: self.audit_log,
                    limit: self.limit,
                }
            }
        }
    };
}

change_body!(ModifyOrders {});

change_body!(SuspendOrders {
    /// When resumed, a waiting or prompting order restarts its current instruction, unless child
    /// orders hold it.
    #[schemars(extend("default" = false))]
    pub reset: Option<bool>,
});

change_body!(
    #[schemars(transform = |schema: &mut Schema| texts::alias(schema, "variables", "arguments"))]
    ResumeOrders {
        /// Where the orders resume.
        #[schemars(with = "Option<Position>")]
        pub position: Option<Json>,
        /// Added to the orders' arguments.
        #[schemars(with = "Option<Arguments>")]
        pub variables: Option<JsonObject>,
        /// The name that JOC's shell client uses for `variables`.
        #[schemars(skip)]
        pub arguments: Option<JsonObject>,
        /// Not supported: send the position of the block's first instruction.
        #[schemars(extend("enum" = [false, null]))]
        pub from_current_block: Option<bool>,
        /// Not supported, since cycles are not known: must be empty.
        #[serde(rename = "cycleEndTime")]
        pub _cycle_end_time: Option<Unsupported>,
    }
);

change_body!(PrioritizeOrders {
    /// In JOC's GUI 20000 is high and -20000 low.
    #[schemars(required, with = "i32")]
    pub priority: Option<Whole<i32>>,
});

/// `orderType`: how far along an order may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum OrderType {
    FreshOnly,
    FreshOrStarted,
}

impl SuspendOrders {
    pub fn action(&mut self) -> Result<Action, Invalid> {
        let (kill, reset) = (self.kill.unwrap_or_default(), self.reset.unwrap_or_default());
        Ok(Action::Suspend { kill, reset })
    }
}

impl ResumeOrders {
    pub fn action(&mut self) -> Result<Action, Invalid> {
        if self.from_current_block == Some(true) {
            let problem = "is not supported: send the position of the block's first instruction";
            return Err(Invalid::new("fromCurrentBlock", problem));
        }
        if let Some(position) = &self.position {
            check_position("position", position)?;
        }
        let (name, variables) = match (self.variables.take(), self.arguments.take()) {
            (Some(_), Some(_)) => {
                let problem = "one of them is expected, not both";
                return Err(Invalid::new("variables, arguments", problem));
            }
            (None, arguments @ Some(_)) => ("arguments", arguments),
            (variables, None) => ("variables", variables),
        };
        let mut variables = variables.map(|JsonObject(members)| members).unwrap_or_default();
        variables.retain(|_, value| !value.is_null());
        check_arguments(name, &variables)?;
        Ok(Action::Resume {
            position: self.position.as_ref().map(|position| position.to_string()),
            variables: (!variables.is_empty()).then(|| Value::Object(variables).to_string()),
        })
    }
}

impl PrioritizeOrders {
    pub fn action(&mut self) -> Result<Action, Invalid> {
        let missing = || Invalid::new("priority", "is missing, a whole number is expected");
        let Whole(priority) = self.priority.ok_or_else(missing)?;
        Ok(Action::Change { priority })
    }
}
