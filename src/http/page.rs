//! The operators' page: the files of `web/`, embedded compressed. They need neither a session nor the
//! database.

use std::io::Read;
use std::sync::LazyLock;

use actix_web::http::header::{
    self, AcceptEncoding, ContentEncoding, ETag, Encoding, EntityTag, Header, IfNoneMatch,
};
use actix_web::web::{self, Bytes, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::http::error::ApiError;

/// What the page may load: its own files and images inlined in them, and the API.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = "index.html";

/// The name of each file, and its bytes, compressed by gzip.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// A file in both encodings. As strong validators, their tags differ.
struct File {
    name: &'static str,
    media_type: &'static str,
    compressed: Encoded,
    plain: Encoded,
}

struct Encoded {
    bytes: Bytes,
    tag: EntityTag,
}

static FILES: LazyLock<std::io::Result<Vec<File>>> = LazyLock::new(|| {
    EMBEDDED.iter().map(|(name, compressed)| File::of(name, compressed)).collect()
});

impl File {
    fn of(name: &'static str, compressed: &'static [u8]) -> std::io::Result<Self> {
        let mut plain = Vec::new();
        GzDecoder::new(compressed).read_to_end(&mut plain)?;
        Ok(Self {
            name,
            media_type: media_type(name),
            compressed: Encoded::of(Bytes::from_static(compressed)),
            plain: Encoded::of(plain.into()),
        })
    }
}

impl Encoded {
    fn of(bytes: Bytes) -> Self {
        let tag = EntityTag::new_strong(hex::encode(Sha256::digest(&bytes)));
        Self { bytes, tag }
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// Adds `/` and `/web`.
pub fn routes(config: &mut ServiceConfig) {
    config.route("/", web::get().to(page)).route("/web/{file}", web::get().to(file));
}

async fn page(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    respond(&request, PAGE)
}

async fn file(request: HttpRequest, file: Path<String>) -> Result<HttpResponse, ApiError> {
    respond(&request, &file)
}

fn respond(request: &HttpRequest, name: &str) -> Result<HttpResponse, ApiError> {
    let files = FILES.as_ref().map_err(|error| ApiError::Internal(anyhow::anyhow!("{error}")))?;
    let file = files.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| ApiError::UnknownEndpoint(format!("/web/{name}")))?;
    let both = [Encoding::identity(), Encoding::gzip()];
    let accepted = AcceptEncoding::parse(request).ok();
    let is_compressed = accepted.and_then(|it| it.negotiate(both.iter())) == Some(Encoding::gzip());
    let encoded = if is_compressed { &file.compressed } else { &file.plain };
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&encoded.tag)),
        Err(_) => false,
    };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(ETag(encoded.tag.clone()))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"));
    if is_known {
        return Ok(response.finish());
    }
    if is_compressed {
        response.insert_header(ContentEncoding::Gzip);
    }
    Ok(response.content_type(file.media_type).body(encoded.bytes.clone()))
}
