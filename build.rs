//! Unpacks `sqlx-data.json`, the checked-in query cache, for sqlx's macros, which read one file per
//! query. With `SQLX_OFFLINE=false`, as in `scripts/prepare`, they ask a database instead.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=sqlx-data.json");
    println!("cargo:rerun-if-env-changed=SQLX_OFFLINE");
    if env::var("SQLX_OFFLINE").is_ok_and(|offline| offline == "false") {
        return Ok(());
    }
    let folder = PathBuf::from(env::var("OUT_DIR")?).join("sqlx");
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
