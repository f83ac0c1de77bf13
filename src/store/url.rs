//! Checks `DATABASE_URL`, and shows it without its password.

use crate::store::{Error, Result};

const EXPECTED: &str = "expected sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE";

/// The scheme of a URL that names a database.
///
/// # Errors
///
/// [`Error::Url`] if there is no scheme, for example because a variable in the URL was empty.
pub(super) fn scheme(url: &str) -> Result<&str> {
    if url.trim().is_empty() {
        return Err(Error::Url(format!("is empty; {EXPECTED}")));
    }
    let refuse = |why: &str| Err(invalid(url, format!("{why}; {EXPECTED}")));
    let Some((scheme, rest)) = url.split_once(':') else {
        return refuse("the scheme is missing");
    };
    match scheme {
        "sqlite" => {}
        "postgres" | "postgresql" => {
            let Some(rest) = rest.strip_prefix("//") else {
                return refuse("// is missing");
            };
            let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
            if matches!(place, "" | "/") && query.is_empty() {
                return refuse("the server is missing");
            }
            let (_, path) = place.split_once('/').unwrap_or((place, ""));
            let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
            if path.contains('@') || rest.contains('#') || names.any(|name| name.contains('@')) {
                return Err(Error::Url(
                    "escape user and password: / as %2F, ? as %3F, # as %23, @ as %40".into(),
                ));
            }
        }
        _ => return refuse("unknown scheme"),
    }
    Ok(scheme)
}

/// Rejects names that cannot be a database file or are probably mistakes.
#[cfg(feature = "sqlite")]
pub(super) fn expect_file(file: &std::path::Path, url: &str) -> Result<()> {
    let is_blank = file.to_string_lossy().trim().is_empty();
    if is_blank {
        return Err(invalid(url, format!("the file is missing; {EXPECTED}")));
    }
    let name = file.to_string_lossy();
    if name.trim() != name {
        return Err(invalid(url, "the file name begins or ends with a blank".into()));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let folder = file_shown(&folder.to_string_lossy());
        return Err(invalid(url, format!("there is no folder {folder}")));
    }
    if file.is_dir() {
        return Err(invalid(url, "that is a directory".into()));
    }
    Ok(())
}

/// The error for an invalid URL.
pub(super) fn invalid(url: &str, why: String) -> Error {
    Error::Url(format!("{why}; got '{}'", shown(url)))
}

/// A URL without user, password and parameters. If its password may contain unescaped characters, only
/// the scheme is shown.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once(':').map_or(("", url), |(scheme, rest)| (scheme, rest));
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !scheme.chars().all(is_scheme) {
        return "…".into();
    }
    let prefix = &url[..url.len() - rest.len()];
    let (slashes, rest) = rest.strip_prefix("//").map_or(("", rest), |rest| ("//", rest));
    let before = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    let place = match rest.rsplit_once('@') {
        // A file, unless the scheme was put before another URL's user.
        _ if scheme == "sqlite" => file_shown(rest.split('?').next().unwrap_or_default()),
        // Without a port number, the text after the colon may be a password whose @ is missing.
        None if has_no_port(rest) => "…".into(),
        None => before(rest),
        Some((user, _)) if user.contains(['?', '#']) => "…".into(),
        Some((_, place)) => before(place),
    };
    format!("{prefix}{slashes}{place}").escape_debug().to_string()
}

/// A file name, without what may be the user of another URL.
pub(super) fn file_shown(file: &str) -> String {
    match file.rsplit_once('@') {
        Some((user, place)) if user.contains(':') => place.to_owned(),
        _ => file.to_owned(),
    }
}

fn has_no_port(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((_, port)) => !host.ends_with(']') && port.parse::<u16>().is_err(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, expected) in [
            ("mysql://x:secret@y/z", "mysql://y/z"),
            ("mysql://x:sec/ret@y:1/z?password=secret", "mysql://y:1/z"),
            ("mysql://x:s@ec@y/z", "mysql://y/z"),
            ("mysql://x:sec?ret@y/z", "mysql://…"),
            ("mysql://x:sec#ret@y/z", "mysql://…"),
            ("mysql://y/z?user=x&password=secret", "mysql://y/z"),
            ("mysql://y/z?password=s@cret", "mysql://…"),
            ("mysql://x:%73ecret@y/z", "mysql://y/z"),
            ("user:secret@host/db", "user:host/db"),
            ("postgres://x:secret", "postgres://…"),
            ("postgres://x:secret/db?a=b", "postgres://…"),
            ("postgres://host:5432/db", "postgres://host:5432/db"),
            ("postgres://[::1]/db", "postgres://[::1]/db"),
            ("sqlite:dir/a@b#c.db?mode=rw", "sqlite:dir/a@b#c.db"),
            ("sqlite://x:secret@/dir/x?mode=no", "sqlite:///dir/x"),
            ("joc-orders.db", "joc-orders.db"),
            ("\"sqlite:x\"", "…"),
            ("sqlite:a\u{1b}b", "sqlite:a\\u{1b}b"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn what_names_no_database() {
        for url in [
            "",
            " ",
            "joc-orders.db",
            "mysql://x:secret@y/z",
            "SQLITE:x",
            "postgres:",
            "postgres:joc",
            "postgres://",
            "postgresql:///",
            "postgres://joc:12/secret@host/db",
            "postgres://joc:12?secret@host/db",
            "postgres://joc:12#secret@host/db",
        ] {
            let error = scheme(url).expect_err(url).to_string();
            assert!(error.starts_with("DATABASE_URL: ") && !error.contains("secret"), "{error}");
        }
        for url in [
            "sqlite:x",
            "sqlite::memory:",
            "postgres://joc:p%40ss@host:1/db?sslmode=verify-full",
            "postgres:///db?host=/run/postgresql&user=me@example.com",
            "postgresql://%2Frun%2Fpostgresql/db",
        ] {
            assert!(scheme(url).is_ok(), "{url}");
        }
    }
}
