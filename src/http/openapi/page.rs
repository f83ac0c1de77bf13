//! The API documentation: Swagger UI, embedded in the program.

use std::io::{Cursor, Read};

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Path, ServiceConfig};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

use crate::http::error::ApiError;

/// What the page may load: its own files, and the images inlined in its style sheet.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const PAGE: &str = "index.html";

/// Where a file comes from.
enum Source {
    Text(&'static str),
    SwaggerUi,
}

/// The files, with their media types.
const FILES: &[(&str, &str, Source)] = &[
    (PAGE, "text/html; charset=utf-8", Source::Text(include_str!("page.html"))),
    ("swagger-initializer.js", "text/javascript", Source::Text(include_str!("page.js"))),
    ("swagger-ui-bundle.js", "text/javascript", Source::SwaggerUi),
    ("swagger-ui-standalone-preset.js", "text/javascript", Source::SwaggerUi),
    ("swagger-ui.css", "text/css", Source::SwaggerUi),
    ("index.css", "text/css", Source::SwaggerUi),
    ("favicon-16x16.png", "image/png", Source::SwaggerUi),
    ("favicon-32x32.png", "image/png", Source::SwaggerUi),
];

/// Adds `/docs`. The page's own references are relative, hence the redirect.
pub fn routes(config: &mut ServiceConfig) {
    config.route("/docs", web::get().to(redirect)).route("/docs/{file}", web::get().to(file));
}

async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, format!("/docs/{PAGE}")))
        .finish()
}

async fn file(file: Path<String>) -> Result<HttpResponse, ApiError> {
    let Some((name, media_type, source)) = FILES.iter().find(|(name, ..)| *name == *file) else {
        return Err(ApiError::UnknownEndpoint(format!("/docs/{file}")));
    };
    let bytes = match source {
        Source::Text(text) => (*text).into(),
        Source::SwaggerUi => unzipped(name).map_err(ApiError::Internal)?,
    };
    Ok(HttpResponse::Ok()
        .content_type(*media_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(bytes))
}

/// A file of Swagger UI's distribution.
fn unzipped(name: &str) -> anyhow::Result<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let suffix = format!("/dist/{name}");
    let mut paths = archive.file_names().filter_map(Result::ok);
    let path = paths.find(|path| path.ends_with(&suffix)).map(Into::into);
    drop(paths);
    let mut bytes = Vec::new();
    archive.by_name(&path.unwrap_or(suffix))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
