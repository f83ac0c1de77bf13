//! Compresses the files of `web/`, which `src/http/page.rs` embeds, and unpacks `sqlx-data.json`, the
//! checked-in query cache, for sqlx's macros, which read one file per query. With
//! `SQLX_OFFLINE=false`, as in `scripts/prepare`, they ask a database instead.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    page(&out)?;
    queries(&out)
}

/// Writes each file of the page compressed, and a table of their names and bytes.
fn page(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=web");
    let files: Result<Vec<PathBuf>, _> =
        fs::read_dir("web")?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = files?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).ok_or("a file of web/")?;
        let compressed = out.join(format!("{name}.gz"));
        let mut encoder = GzEncoder::new(fs::File::create(&compressed)?, Compression::best());
        encoder.write_all(&fs::read(&file)?)?;
        encoder.finish()?;
        writeln!(table, "({name:?}, include_bytes!({compressed:?})),")?;
    }
    Ok(fs::write(out.join("page.rs"), table + "]")?)
}

fn queries(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=sqlx-data.json");
    println!("cargo:rerun-if-env-changed=SQLX_OFFLINE");
    if env::var("SQLX_OFFLINE").is_ok_and(|offline| offline == "false") {
        return Ok(());
    }
    let folder = out.join("sqlx");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let queries: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&fs::read_to_string("sqlx-data.json")?)?;
    for (hash, query) in queries {
        fs::write(folder.join(format!("query-{hash}.json")), query.to_string())?;
    }
    println!("cargo:rustc-env=SQLX_OFFLINE=true");
    println!("cargo:rustc-env=SQLX_OFFLINE_DIR={}", folder.display());
    Ok(())
}
