//! `DATABASE_URL`: what is wrong with one, and how it is told without its password.

use crate::store::{Error, Result};

const EXPECTED: &str = "expected sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE";

/// The scheme of a URL that names a database.
///
/// # Errors
///
/// [`Error::Url`] for one that names none, as when the variable in it was empty.
pub(super) fn scheme(url: &str) -> Result<&str> {
    if url.trim().is_empty() {
        return Err(Error::Url(format!("it is empty: {EXPECTED}")));
    }
    let refuse = |why: &str| Err(invalid(url, format!("{why}: {EXPECTED}")));
    let Some((scheme, rest)) = url.split_once(':') else {
        return refuse("there is no scheme");
    };
    match scheme {
        "sqlite" => {}
        "postgres" | "postgresql" => {
            let Some(rest) = rest.strip_prefix("//") else {
                return refuse("there is no //");
            };
            let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
            if matches!(place, "" | "/") && query.is_empty() {
                return refuse("it names no server");
            }
            let (_, path) = place.split_once('/').unwrap_or((place, ""));
            let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
            if path.contains('@') || rest.contains('#') || names.any(|name| name.contains('@')) {
                return Err(Error::Url(
                    "in a user or password, / is written %2F, ? %3F, # %23 and @ %40".into(),
                ));
            }
        }
        _ => return refuse("there is no such scheme here"),
    }
    Ok(scheme)
}

/// Refuses a name that no file has that one would want.
#[cfg(feature = "sqlite")]
pub(super) fn expect_file(file: &std::path::Path, url: &str) -> Result<()> {
    let is_blank = file.to_string_lossy().trim().is_empty();
    if is_blank {
        return Err(invalid(url, format!("it names no file: {EXPECTED}")));
    }
    if file.is_dir() {
        return Err(invalid(url, "that is a directory".into()));
    }
    Ok(())
}

/// A URL is of no use, for this reason.
pub(super) fn invalid(url: &str, why: String) -> Error {
    Error::Url(format!("{why}; it is '{}'", shown(url)))
}

/// A URL without user, password and parameters. Of one that may have unescaped characters in its
/// password only the scheme is left.
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
        // A file, unless somebody has put the scheme before another URL's user.
        _ if scheme == "sqlite" => {
            let file = rest.split('?').next().unwrap_or_default();
            match file.rsplit_once('@') {
                Some((user, place)) if user.contains(':') => place.to_owned(),
                _ => file.to_owned(),
            }
        }
        None => before(rest),
        Some((user, _)) if user.contains(['?', '#']) => "…".into(),
        Some((_, place)) => before(place),
    };
    format!("{prefix}{slashes}{place}").escape_debug().to_string()
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
