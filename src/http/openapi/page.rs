//! The API documentation: Swagger UI, embedded in the program.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Data, Path, ServiceConfig};
use utoipa_swagger_ui::Config;

use crate::http::error::ApiError;

/// What the page may load: its own files, and the images inlined in its style sheet.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The page itself.
const PAGE: &str = include_str!("page.html");
const PAGE_NAME: &str = "index.html";

/// Adds `/docs`. The page's own references are relative, hence the redirect.
pub fn routes(config: &mut ServiceConfig) {
    // A reader must not send a request by accident: each endpoint has its own switch.
    let settings = Config::from("../openapi.json").use_base_layout().try_it_out_enabled(false);
    config
        .app_data(Data::from(Arc::new(settings)))
        .route("/docs", web::get().to(redirect))
        .route("/docs/{file}", web::get().to(file));
}

async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, format!("/docs/{PAGE_NAME}")))
        .finish()
}

async fn file(
    file: Path<String>,
    settings: Data<Config<'static>>,
) -> Result<HttpResponse, ApiError> {
    let (content_type, bytes) = if *file == PAGE_NAME {
        ("text/html; charset=utf-8".into(), PAGE.as_bytes().into())
    } else {
        match utoipa_swagger_ui::serve(&file, settings.into_inner()) {
            Ok(Some(file)) => (file.content_type, file.bytes),
            Ok(None) => return Err(ApiError::UnknownEndpoint(format!("/docs/{file}"))),
            Err(error) => return Err(ApiError::Internal(anyhow::anyhow!("{error}"))),
        }
    };
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(bytes.into_owned()))
}
