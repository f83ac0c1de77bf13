//! The page to read and try the description: Swagger UI, whose files are part of the program.

use std::sync::Arc;

use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpResponse, http::header};
use utoipa_swagger_ui::Config;

use crate::http::error::ApiError;

/// What the page may load: its own files, and the pictures that its style holds.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Adds `/docs`. The page's own references are relative, hence the redirect.
pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    let settings = Config::from("../openapi.json").use_base_layout().try_it_out_enabled(true);
    config
        .app_data(Data::from(Arc::new(settings)))
        .route("/docs", web::get().to(redirect))
        .route("/docs/{file}", web::get().to(file));
}

async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/index.html")).finish()
}

async fn file(
    file: Path<String>,
    settings: Data<Config<'static>>,
) -> Result<HttpResponse, ApiError> {
    match utoipa_swagger_ui::serve(&file, settings.into_inner()) {
        Ok(Some(file)) => Ok(HttpResponse::Ok()
            .content_type(file.content_type)
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .body(file.bytes.into_owned())),
        Ok(None) => Err(ApiError::UnknownCall(format!("/docs/{file}"))),
        Err(error) => Err(ApiError::Internal(anyhow::anyhow!("{error}"))),
    }
}
