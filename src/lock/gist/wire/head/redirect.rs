//! Display of a redirect's target.

use ureq::http::Uri;

use super::ApiUrl;
use crate::fmt::one_line;

/// Returns scheme, host and path of a target that `api` redirects to. User name, password, query and
/// parameters may be secret and are left out. Returns `None` if the target is malformed.
pub(super) fn shown(target: &str, api: &ApiUrl) -> Option<String> {
    let scheme = if api.is_https() { "https" } else { "http" };
    let absolute = match target {
        _ if target.contains("://") && !target.starts_with(['/', '?']) => target.to_owned(),
        _ if target.starts_with("//") => format!("{scheme}:{target}"),
        _ => {
            let authority = api.authority();
            format!("{scheme}://{authority}/{}", target.trim_start_matches('/'))
        }
    };
    let uri: Uri = absolute.parse().ok()?;
    let (scheme, host) = (uri.scheme_str()?, uri.host()?);
    let port = match uri.port_u16() {
        Some(port) => format!(":{port}"),
        None => String::new(),
    };
    // A query before the `@` would turn the user name into the host.
    if uri.authority()?.as_str().rsplit('@').next()? != format!("{host}{port}") {
        return None;
    }
    let path = uri.path().split(';').next().unwrap_or_default();
    Some(one_line(&format!("{scheme}://{host}{port}{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::gist::wire::target::check_api_url;

    #[test]
    fn target_is_shown_without_secrets() {
        let api = check_api_url("https://ghe.example:8443/x", false).unwrap();
        for (target, text) in [
            ("/login?return_to=s3cret", "https://ghe.example:8443/login"),
            ("login;id=s3cret", "https://ghe.example:8443/login"),
            ("?next=https://s3cret/", "https://ghe.example:8443/"),
            ("/to?next=https://s3cret/", "https://ghe.example:8443/to"),
            ("//sso.example/saml#s3cret", "https://sso.example/saml"),
            (
                "http://me:s3cret@sso.example:81/a/b?s3cret",
                "http://sso.example:81/a/b",
            ),
            ("https://sso.example?s3cret", "https://sso.example/"),
            ("//me:s3cret@sso.example", "https://sso.example/"),
        ] {
            assert_eq!(shown(target, &api).as_deref(), Some(text), "{target}");
        }
        for malformed in [
            "https://me:s3?cret@sso.example/",
            "https://",
            "http://s3cret:x/",
        ] {
            assert_eq!(shown(malformed, &api), None, "{malformed}");
        }
    }
}
