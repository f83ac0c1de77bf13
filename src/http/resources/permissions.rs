//! `/authentication/joc_cockpit_permissions`: everything that JOC knows a permission for, and
//! whether the account has it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::context::request::Context;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::model::permission::known::{OF_CONTROLLER, OF_JOC};
use crate::model::permission::{EVERY_CONTROLLER, Permission};
use actix_web::web::{Json, post};

/// What the account may do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    roles: Vec<String>,
    /// Permissions that belong to no controller.
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

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let path = "/authentication/joc_cockpit_permissions";
    let endpoint = Endpoint::post(path, post().to(permissions), "Show the account's permissions")
        .ignores_body()
        .returns::<Permissions>(schemas);
    with_examples(vec![endpoint], include_str!("permissions.json"))
}

/// `POST /authentication/joc_cockpit_permissions`
async fn permissions(context: Context) -> Result<Json<Permissions>, ApiError> {
    let principal = &context.principal;
    let controllers = context
        .controllers()
        .await?
        .into_iter()
        .map(|id| {
            let tree = booleans(OF_CONTROLLER, |name| principal.may(name, &id).is_some());
            (id, tree)
        })
        .collect();
    Ok(Json(Permissions {
        roles: principal.roles.clone(),
        // A permission that belongs to no controller counts even if granted for only one
        // controller.
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
