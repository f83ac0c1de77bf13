//! What clients ask of JOC itself: its version, whether it is active, and how it is set up.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::context::request::Context;
use crate::http::context::response::{Acknowledged, Dated, Delivered};
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::resources::cockpit::JOC_VERSION;
use actix_web::web::{Json, post};

/// The version of the API.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Version")]
pub struct VersionItem {
    version: &'static str,
}

/// What JOC calls its properties, which are mostly about its GUI.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Properties {
    /// Whether a request that changes something needs a comment.
    force_comments_for_audit_log: bool,
    /// Comments to choose from; there are none here.
    comments: [(); 0],
    /// Which views the GUI shows; there is no GUI here, so it says nothing of any view.
    show_views: Views,
    /// Always `LOW`: nothing is deployed, so nothing is signed.
    security_level: &'static str,
    /// Always empty: accounts have no profiles.
    default_profile_account: &'static str,
    api_version: &'static str,
    /// Always empty: there is no inventory.
    inventory_version: &'static str,
    /// Always true, as by default in JOC.
    display_folders_in_views: bool,
    joc_version: &'static str,
    /// Always true: workflows do not declare the arguments of their orders.
    allow_undeclared_variables: bool,
}

/// No views.
#[derive(Debug, Serialize, JsonSchema)]
struct Views {}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post("/joc/version", post().to(version), "The version of the API")
            .ignores_body()
            .returns::<VersionItem>(schemas),
        Endpoint::post("/joc/is_active", post().to(is_active), "Whether this instance is active")
            .describe("Every instance of the service is active")
            .ignores_body()
            .returns::<Dated<Acknowledged>>(schemas),
        Endpoint::post("/joc/properties", post().to(properties), "The settings that clients heed")
            .ignores_body()
            .returns::<Delivered<Properties>>(schemas),
    ];
    with_examples(endpoints, include_str!("joc.json"))
}

/// `POST /joc/version`
async fn version(_: Context) -> Json<VersionItem> {
    Json(VersionItem { version: JOC_VERSION })
}

/// `POST /joc/is_active`
async fn is_active(context: Context) -> Json<Dated<Acknowledged>> {
    context.dated(Acknowledged { ok: true })
}

/// `POST /joc/properties`
async fn properties(context: Context) -> Json<Delivered<Properties>> {
    context.delivered(Properties {
        force_comments_for_audit_log: context.service.settings.comment_required,
        comments: [],
        show_views: Views {},
        security_level: "LOW",
        default_profile_account: "",
        api_version: JOC_VERSION,
        inventory_version: "",
        display_folders_in_views: true,
        joc_version: JOC_VERSION,
        allow_undeclared_variables: true,
    })
}
