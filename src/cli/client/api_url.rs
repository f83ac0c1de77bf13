//! The URL of the API, as people give it.

use reqwest::Url;

use crate::http::BASE;

/// The variable with the password. There is no flag, which process lists would show.
pub(super) const PASSWORD: &str = "JOC_ORDERS_PASSWORD";

/// The URL of the API from that of the service.
pub(super) fn api_url(text: &str) -> Result<Url, String> {
    let expected = || String::from("expected http://HOST:PORT or https://HOST:PORT");
    let mut url: Url = text.trim_end_matches('/').parse().map_err(|_| expected())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(expected());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("pass the account in --user and its password in {PASSWORD}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("query and fragment are not allowed".into());
    }
    if url.path() == "/" {
        url.set_path(BASE);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_is_that_of_the_service() {
        for (text, url) in [
            ("http://joc:4446", "http://joc:4446/joc/api"),
            ("http://joc:4446/", "http://joc:4446/joc/api"),
            ("http://joc:4446/joc/api/", "http://joc:4446/joc/api"),
            ("https://proxy/orders/joc/api", "https://proxy/orders/joc/api"),
        ] {
            assert_eq!(api_url(text).unwrap().as_str(), url, "{text}");
        }
        for text in
            ["", "joc:4446", "127.0.0.1:4446", "ftp://joc", "http://a:b@joc", "http://joc?x"]
        {
            assert!(api_url(text).is_err(), "{text}");
        }
    }
}
