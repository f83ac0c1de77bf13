//! What clients ask of controllers right after a login: which there are, how they are, and in which
//! versions.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::http::context::body::{RequestBody, given};
use crate::http::context::lists::Names;
use crate::http::context::request::{Context, Request};
use crate::http::context::response::{Acknowledged, Dated, Delivered};
use crate::http::date::Instant;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::model::invalid::Invalid;
use crate::model::permission::VIEW_CONTROLLER;
use crate::model::texts::{self, OptionalControllerId};
use crate::model::window::{Source, time_zone_database};
use actix_web::HttpRequest;
use actix_web::web::{Json, post};

/// The release of JOC whose API this is.
pub(super) const JOC_VERSION: &str = "2.7.3";

/// Selects controllers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControllersBody {
    /// Only this controller; requires the permission for it.
    #[schemars(with = "Option<OptionalControllerId>")]
    controller_id: Option<String>,
}

/// Names a controller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SwitchBody {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
}

/// Names a controller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControllerBody {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// Selects a member of a cluster in JOC. Here there is one, with the `url` of the response.
    url: Option<String>,
}

/// Which versions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionsBody {
    /// Versions of these controllers.
    controller_ids: Option<Names<String>>,
    /// Versions of these agents; there are none here.
    agent_ids: Option<Names<String>>,
}

/// The controllers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Controllers {
    controllers: Vec<ControllerItem>,
}

/// One controller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OneController {
    controller: ControllerItem,
}

/// A controller, as JOC shows it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Controller")]
struct ControllerItem {
    /// A number that stays the same.
    id: u64,
    controller_id: String,
    title: String,
    /// Always `STANDALONE`.
    role: &'static str,
    /// The URL at which the client reaches this service.
    url: String,
    /// Of the API.
    version: &'static str,
    is_coupled: bool,
    component_state: ShownState,
    connection_state: ShownState,
    survey_date: Instant,
}

/// A state in words, and the number by which JOC's GUI colours it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Condition")]
struct ShownState {
    #[serde(rename = "_text")]
    text: &'static str,
    severity: u8,
}

/// The ids of the controllers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControllerIds {
    /// The first, or empty.
    selected: String,
    controller_ids: Vec<String>,
}

/// Versions of the API, and of the time zone database.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    joc_version: &'static str,
    /// The same; JOC's schema requires it.
    version: &'static str,
    controller_versions: Vec<ControllerVersion>,
    /// Empty: agents are not known here.
    agent_versions: [(); 0],
    time_zones: TimeZones,
}

/// The time zone database that local times are read with.
#[derive(Debug, Serialize, JsonSchema)]
struct TimeZones {
    /// Its release.
    #[schemars(example = "2026f")]
    version: &'static str,
    source: Source,
}

/// The version of a controller.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ControllerVersion {
    controller_id: String,
    /// The URL at which the client reaches this service.
    uri: String,
    version: &'static str,
    /// Always `COMPATIBLE`: the service is its own controller.
    compatibility: &'static str,
}

impl RequestBody for SwitchBody {}

impl RequestBody for ControllerBody {}

impl RequestBody for ControllersBody {
    const OPTIONAL: bool = true;
}

impl RequestBody for VersionsBody {
    const OPTIONAL: bool = true;
}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post(
            "/controllers",
            post().to(controllers),
            "The controllers that the account has any permission for",
        )
        .describe("Needs the permission only if the request names a controller")
        .needs(&[VIEW_CONTROLLER])
        .takes::<ControllersBody>(schemas)
        .returns::<Delivered<Controllers>>(schemas),
        Endpoint::post(
            "/controllers/p",
            post().to(controllers),
            "The controllers that the account has any permission for",
        )
        .describe("The same as `/controllers`: there is no other place to read them from")
        .needs(&[VIEW_CONTROLLER])
        .takes::<ControllersBody>(schemas)
        .returns::<Delivered<Controllers>>(schemas),
        Endpoint::post("/controller", post().to(controller), "Show a controller")
            .needs(&[VIEW_CONTROLLER])
            .takes::<ControllerBody>(schemas)
            .returns::<Delivered<OneController>>(schemas),
        Endpoint::post("/controller/p", post().to(controller), "Show a controller")
            .describe("The same as `/controller`: there is no other place to read it from")
            .needs(&[VIEW_CONTROLLER])
            .takes::<ControllerBody>(schemas)
            .returns::<Delivered<OneController>>(schemas),
        Endpoint::post(
            "/controller/switch",
            post().to(switch),
            "Check that the account may view a controller",
        )
        .describe(
            "Succeeds if JOC would switch to the controller. The choice is not kept: every \
             request names its controller",
        )
        .needs(&[VIEW_CONTROLLER])
        .takes::<SwitchBody>(schemas)
        .returns::<Dated<Acknowledged>>(schemas),
        Endpoint::post(
            "/controller/ids",
            post().to(controller_ids),
            "The ids of the controllers that the account has any permission for",
        )
        .ignores_body()
        .returns::<Delivered<ControllerIds>>(schemas),
        Endpoint::post("/joc/versions", post().to(versions), "Versions")
            .takes::<VersionsBody>(schemas)
            .returns::<Versions>(schemas),
    ];
    with_examples(endpoints, include_str!("cockpit.json"))
}

/// `POST /controllers`
async fn controllers(
    Request { context, body }: Request<ControllersBody>,
) -> Result<Json<Delivered<Controllers>>, ApiError> {
    let mut ids = context.controllers().await?;
    if let Some(id) = body.controller_id.filter(|id| !id.is_empty()) {
        context.permit_reading(VIEW_CONTROLLER, &id).await?;
        ids = vec![id];
    }
    let controllers = ids.into_iter().map(|id| item(&context, id)).collect();
    Ok(context.delivered(Controllers { controllers }))
}

/// A controller as JOC shows it.
fn item(context: &Context, id: String) -> ControllerItem {
    ControllerItem {
        id: number(&id),
        title: id.clone(),
        controller_id: id,
        role: "STANDALONE",
        url: url(&context.http),
        version: JOC_VERSION,
        is_coupled: false,
        component_state: ShownState { text: "operational", severity: 0 },
        connection_state: ShownState { text: "established", severity: 0 },
        survey_date: Instant(context.now),
    }
}

/// `POST /controller` and `POST /controller/p`
async fn controller(
    Request { context, body }: Request<ControllerBody>,
) -> Result<Json<Delivered<OneController>>, ApiError> {
    let ControllerBody { controller_id, url } = body;
    context.permit_reading(VIEW_CONTROLLER, &controller_id).await?;
    let controller = item(&context, controller_id);
    if given(url).is_some_and(|url| url.trim_end_matches('/') != controller.url) {
        let problem = "there is no controller at this address";
        return Err(ApiError::UnknownController(Invalid::new("url", problem)));
    }
    Ok(context.delivered(OneController { controller }))
}

/// `POST /controller/switch`
async fn switch(
    Request { context, body }: Request<SwitchBody>,
) -> Result<Json<Dated<Acknowledged>>, ApiError> {
    context.permit_reading(VIEW_CONTROLLER, &body.controller_id).await?;
    Ok(context.dated(Acknowledged { ok: true }))
}

/// `POST /controller/ids`
async fn controller_ids(context: Context) -> Result<Json<Delivered<ControllerIds>>, ApiError> {
    let ids = context.controllers().await?;
    let selected = ids.first().cloned().unwrap_or_default();
    Ok(context.delivered(ControllerIds { selected, controller_ids: ids }))
}

/// `POST /joc/versions`
async fn versions(
    Request { context, body }: Request<VersionsBody>,
) -> Result<Json<Versions>, ApiError> {
    let mut ids = context.controllers().await?;
    // A request for agents alone does not mean every controller.
    if body.controller_ids.is_some() || body.agent_ids.is_some() {
        let wanted: HashSet<String> = body.controller_ids.into_iter().flatten().collect();
        ids.retain(|id| wanted.contains(id));
    }
    let controllers = ids.into_iter().map(|id| ControllerVersion {
        controller_id: id,
        uri: url(&context.http),
        version: JOC_VERSION,
        compatibility: "COMPATIBLE",
    });
    let time_zones = time_zone_database();
    Ok(Json(Versions {
        joc_version: JOC_VERSION,
        version: JOC_VERSION,
        controller_versions: controllers.collect(),
        agent_versions: [],
        time_zones: TimeZones { version: &time_zones.version, source: time_zones.source },
    }))
}

/// The number of a controller. JOC numbers the rows of a table; this number follows from the
/// controller's id, so it survives a copy of the database. It is below 2^53, for clients whose
/// numbers are floats.
fn number(controller_id: &str) -> u64 {
    let hash: [u8; 32] = Sha256::digest(controller_id).into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11
}

/// Where the caller reaches this service, which stands for the controllers.
fn url(request: &HttpRequest) -> String {
    let connection = request.connection_info();
    format!("{}://{}", connection.scheme(), connection.host())
}
