//! `/authentication/joc_cockpit_permissions`: everything that JOC knows a permission for, and
//! whether the account has it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::Service;
use crate::http::cockpit::granted;
use crate::http::error::ApiError;
use crate::model::permission::{
    CANCEL_ORDERS, CONFIRM_ORDERS, CREATE_ORDERS, EVERY_CONTROLLER, MODIFY_ORDERS, Permission,
    RESUME_FAILED_ORDERS, SUSPEND_RESUME_ORDERS, VIEW_AUDIT_LOG, VIEW_CONTROLLER, VIEW_ORDERS,
    VIEW_WORKFLOWS,
};

/// Where JOC's answer has a permission that belongs to no controller.
const OF_JOC: &[(&str, Permission)] = &[
    ("getLog", "sos:products:joc:get_log"),
    ("administration.accounts.view", "sos:products:joc:administration:accounts:view"),
    ("administration.accounts.manage", "sos:products:joc:administration:accounts:manage"),
    ("administration.settings.view", "sos:products:joc:administration:settings:view"),
    ("administration.settings.manage", "sos:products:joc:administration:settings:manage"),
    ("administration.controllers.view", "sos:products:joc:administration:controllers:view"),
    ("administration.controllers.manage", "sos:products:joc:administration:controllers:manage"),
    ("administration.certificates.view", "sos:products:joc:administration:certificates:view"),
    ("administration.certificates.manage", "sos:products:joc:administration:certificates:manage"),
    ("administration.customization.view", "sos:products:joc:administration:customization:view"),
    ("administration.customization.manage", "sos:products:joc:administration:customization:manage"),
    ("administration.customization.share", "sos:products:joc:administration:customization:share"),
    ("cluster.manage", "sos:products:joc:cluster:manage"),
    ("inventory.view", "sos:products:joc:inventory:view"),
    ("inventory.manage", "sos:products:joc:inventory:manage"),
    ("inventory.deploy", "sos:products:joc:inventory:deploy"),
    ("calendars.view", "sos:products:joc:calendars:view"),
    ("documentations.view", "sos:products:joc:documentations:view"),
    ("documentations.manage", "sos:products:joc:documentations:manage"),
    ("auditLog.view", VIEW_AUDIT_LOG),
    ("dailyPlan.view", "sos:products:joc:dailyplan:view"),
    ("dailyPlan.manage", "sos:products:joc:dailyplan:manage"),
    ("fileTransfer.view", "sos:products:joc:filetransfer:view"),
    ("fileTransfer.manage", "sos:products:joc:filetransfer:manage"),
    ("notification.view", "sos:products:joc:notification:view"),
    ("notification.manage", "sos:products:joc:notification:manage"),
    ("encipherment.encrypt", "sos:products:joc:encipherment:encrypt"),
    ("reports.view", "sos:products:joc:reports:view"),
    ("reports.manage", "sos:products:joc:reports:manage"),
    ("others.view", "sos:products:joc:others:view"),
    ("others.manage", "sos:products:joc:others:manage"),
];

/// Where JOC's answer has a permission for a controller.
const OF_CONTROLLER: &[(&str, Permission)] = &[
    ("view", VIEW_CONTROLLER),
    ("restart", "sos:products:controller:restart"),
    ("terminate", "sos:products:controller:terminate"),
    ("getLog", "sos:products:controller:get_log"),
    ("switchOver", "sos:products:controller:switch_over"),
    ("deployments.view", "sos:products:controller:deployment:view"),
    ("deployments.deploy", "sos:products:controller:deployment:deploy"),
    ("orders.view", VIEW_ORDERS),
    ("orders.create", CREATE_ORDERS),
    ("orders.cancel", CANCEL_ORDERS),
    ("orders.modify", MODIFY_ORDERS),
    ("orders.suspendResume", SUSPEND_RESUME_ORDERS),
    ("orders.resumeFailed", RESUME_FAILED_ORDERS),
    ("orders.confirm", CONFIRM_ORDERS),
    ("orders.managePositions", "sos:products:controller:orders:manage_positions"),
    ("agents.view", "sos:products:controller:agents:view"),
    ("noticeBoards.view", "sos:products:controller:noticeboards:view"),
    ("noticeBoards.post", "sos:products:controller:noticeboards:post"),
    ("noticeBoards.delete", "sos:products:controller:noticeboards:delete"),
    ("locks.view", "sos:products:controller:locks:view"),
    ("workflows.view", VIEW_WORKFLOWS),
];

/// What the account may do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Permissions {
    roles: Vec<String>,
    /// What belongs to no controller.
    #[schemars(with = "OfJoc")]
    joc: Value,
    /// For every controller.
    #[schemars(with = "OfController")]
    controller_defaults: Value,
    /// For each controller.
    #[schemars(with = "BTreeMap<String, OfController>")]
    controllers: Map<String, Value>,
}

/// The schema of [`OF_JOC`].
struct OfJoc;

impl JsonSchema for OfJoc {
    fn schema_name() -> Cow<'static, str> {
        "JocPermissions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        tree_schema(OF_JOC)
    }
}

/// The schema of [`OF_CONTROLLER`].
struct OfController;

impl JsonSchema for OfController {
    fn schema_name() -> Cow<'static, str> {
        "ControllerPermissions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        tree_schema(OF_CONTROLLER)
    }
}

/// The schema of what [`booleans`] makes.
fn tree_schema(names: &[(&str, Permission)]) -> Schema {
    let mut tree = json!({});
    for (path, permission) in names {
        let leaf = path.split('.').fold(&mut tree, |object, name| {
            object["type"] = "object".into();
            match object.get_mut("required").and_then(Value::as_array_mut) {
                Some(names) if names.iter().any(|known| known == name) => {}
                Some(names) => names.push(name.into()),
                None => object["required"] = json!([name]),
            }
            &mut object["properties"][name]
        });
        *leaf = json!({ "type": "boolean", "description": permission });
    }
    tree.try_into().unwrap_or_default()
}

/// `POST /authentication/joc_cockpit_permissions`
pub(super) async fn permissions(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    let principal = &call.principal;
    let controllers = granted(&service, &call)
        .await?
        .into_iter()
        .map(|id| {
            let tree = booleans(OF_CONTROLLER, |name| principal.may(name, &id).is_some());
            (id, tree)
        })
        .collect();
    Ok(HttpResponse::Ok().json(Permissions {
        roles: principal.roles.clone(),
        // What belongs to no controller may be granted for one alone, and is good for that then.
        joc: booleans(OF_JOC, |name| principal.extent(name).is_some()),
        controller_defaults: booleans(OF_CONTROLLER, |name| {
            principal.may(name, EVERY_CONTROLLER).is_some()
        }),
        controllers,
    }))
}

/// Whether the account has each permission, in JOC's nested form.
fn booleans(names: &[(&str, Permission)], has: impl Fn(Permission) -> bool) -> Value {
    let mut tree = json!({});
    for (path, permission) in names {
        let leaf = path.split('.').fold(&mut tree, |tree, name| &mut tree[name]);
        *leaf = has(permission).into();
    }
    tree
}
