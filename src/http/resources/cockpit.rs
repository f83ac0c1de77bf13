//! What clients ask right after a login: which controllers there are, in which versions, and
//! that the session go on.

use std::collections::HashSet;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::context::body;
use crate::http::context::call::Call;
use crate::http::context::lists::Names;
use crate::http::context::response::Done;
use crate::http::context::service::Service;
use crate::http::date::Instant;
use crate::http::error::ApiError;
use crate::model::permission::VIEW_CONTROLLER;
use crate::model::texts::OptionalControllerId;
use crate::model::window::{Source, time_zone_database};

/// The release of JOC whose API this is.
const JOC_VERSION: &str = "2.7.3";

/// Which controllers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControllersBody {
    /// Only this one; needs the permission.
    #[schemars(with = "Option<OptionalControllerId>")]
    controller_id: Option<String>,
}

/// Which versions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionsBody {
    /// Of these controllers.
    controller_ids: Option<Names<String>>,
    /// Of these agents, of which none is known here.
    agent_ids: Option<Names<String>>,
}

/// The controllers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Controllers {
    controllers: Vec<Controller>,
}

/// A controller, as JOC shows it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Controller {
    controller_id: String,
    title: String,
    /// Always `STANDALONE`.
    role: &'static str,
    /// Where the caller reaches this service.
    url: String,
    /// Of the API.
    version: &'static str,
    is_coupled: bool,
    component_state: Condition,
    connection_state: Condition,
    survey_date: Instant,
}

/// A state in words, and the number by which JOC's GUI colours it.
#[derive(Debug, Serialize, JsonSchema)]
struct Condition {
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
    /// Where the caller reaches this service.
    uri: String,
    version: &'static str,
}

/// `POST /controllers`
pub async fn controllers(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    let body: ControllersBody = body::parse_optional(&call.body)?;
    let mut ids = granted(&service, &call).await?;
    if let Some(id) = body.controller_id.filter(|id| !id.is_empty()) {
        call.permit_reading(&service, VIEW_CONTROLLER, &id).await?;
        ids = vec![id];
    }
    let controllers = ids.into_iter().map(|id| Controller {
        title: id.clone(),
        controller_id: id,
        role: "STANDALONE",
        url: url(&request),
        version: JOC_VERSION,
        is_coupled: false,
        component_state: Condition { text: "operational", severity: 0 },
        connection_state: Condition { text: "established", severity: 0 },
        survey_date: Instant(call.now),
    });
    let controllers = Controllers { controllers: controllers.collect() };
    Ok(HttpResponse::Ok().json(service.delivered(controllers)))
}

/// `POST /controller/ids`
pub async fn controller_ids(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    let ids = granted(&service, &call).await?;
    let selected = ids.first().cloned().unwrap_or_default();
    Ok(HttpResponse::Ok().json(service.delivered(ControllerIds { selected, controller_ids: ids })))
}

/// `POST /joc/versions`
pub async fn versions(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    let body: VersionsBody = body::parse_optional(&call.body)?;
    let mut ids = granted(&service, &call).await?;
    // Whoever asks for agents alone does not mean every controller.
    if body.controller_ids.is_some() || body.agent_ids.is_some() {
        let wanted: HashSet<String> = body.controller_ids.into_iter().flatten().collect();
        ids.retain(|id| wanted.contains(id));
    }
    let controllers = ids.into_iter().map(|id| ControllerVersion {
        controller_id: id,
        uri: url(&request),
        version: JOC_VERSION,
    });
    let time_zones = time_zone_database();
    Ok(HttpResponse::Ok().json(Versions {
        joc_version: JOC_VERSION,
        controller_versions: controllers.collect(),
        agent_versions: [],
        time_zones: TimeZones { version: &time_zones.version, source: time_zones.source },
    }))
}

/// `POST /touch`: that the session goes on is what every call has in common.
pub async fn touch(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    Ok(HttpResponse::Ok().json(service.dated(&call, Done { ok: true })))
}

/// The controllers that the account has any permission for.
pub async fn granted(service: &Service, call: &Call) -> Result<Vec<String>, ApiError> {
    let mut ids = service.store.controllers().await?;
    ids.retain(|id| call.principal.has_grant_for(id));
    Ok(ids)
}

/// Where the caller reaches this service, which stands for the controllers.
fn url(request: &HttpRequest) -> String {
    let connection = request.connection_info();
    format!("{}://{}", connection.scheme(), connection.host())
}
