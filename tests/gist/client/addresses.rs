//! Redirects, web pages and proxies on the way.

use super::*;

#[test]
fn redirect_is_not_followed() {
    let elsewhere = Server::new([good()]);
    let to = format!("{}/gists/x", elsewhere.url());
    for code in [301, 302, 307, 308] {
        let moved = status(code, &[("location", to.as_str())], "Moved");
        let server = Server::new([moved.clone(), moved]);
        let mut client = client(&server.url());
        assert_unavailable(client.call(&read(), AMPLE), "GITHUB_API_URL");
        assert_unavailable(client.call(&write(), AMPLE), "GITHUB_API_URL");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn redirect_target_is_named() {
    let target = "https://me:hunter2@sso.example/login?token=hunter2";
    for code in [301, 302, 303, 307, 308] {
        let server = Server::new([status(code, &[("location", target)], "Moved")]);
        let why = error(client(&server.url()).call(&read(), AMPLE)).to_string();
        assert!(why.contains("to https://sso.example/login "), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[test]
fn web_page_blames_api_url() {
    let page = "<!DOCTYPE html><title>Page not found</title>";
    let html = ("content-type", "text/html; charset=utf-8");
    for headers in [&[html][..], &[]] {
        let server = Server::new([
            Step::Answer(http(404, headers, page)),
            Step::Answer(http(404, headers, page)),
        ]);
        let mut client = client(&server.url());
        for request in [read(), write()] {
            let why = error(client.call(&request, AMPLE)).to_string();
            assert!(why.starts_with("GITHUB_API_URL: "), "{why}");
            assert!(why.contains(&format!("{}/api/v3", server.url())), "{why}");
            assert!(!why.contains("GIST_ID"), "{why}");
        }
    }
}

#[test]
fn proxy_tunnel_is_used() {
    let server = Server::new([good(), good()]);
    let (address, heads) = proxy(server.address, "HTTP/1.1 200 OK\r\n\r\n");
    let mut config = config("http://ghe.invalid/api/v3");
    config.proxy.http_proxy = Some(format!("http://me:hunter2@{address}"));
    let mut client = GistClient::new(config).unwrap();
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 1, "the tunnel is used again");
    assert!(
        heads[0].starts_with("CONNECT ghe.invalid:80 HTTP/1.1\r\n"),
        "{}",
        heads[0]
    );
    assert!(heads[0].contains("Proxy-Authorization: Basic "));
    assert!(!heads[0].contains(TOKEN));
}

#[test]
fn no_proxy_bypasses_proxy() {
    let server = Server::new([good()]);
    let (address, heads) = proxy(server.address, "HTTP/1.1 200 OK\r\n\r\n");
    let mut config = config("http://ghe.invalid/api/v3");
    config.proxy.http_proxy = Some(format!("http://{address}"));
    config.proxy.no_proxy = Some("localhost, .invalid".into());
    let mut client = GistClient::new(config).unwrap();
    assert_unavailable(client.call(&read(), AMPLE), "cannot resolve ghe.invalid");
    assert!(heads.lock().unwrap().is_empty());
}

#[test]
fn refusing_proxy_is_named() {
    let server = Server::new([]);
    let (address, _) = proxy(server.address, "HTTP/1.1 407 Who are you\r\n\r\n");
    let mut config = config("http://ghe.invalid");
    config.proxy.http_proxy = Some(format!("http://me:hunter2@{address}"));
    let mut client = GistClient::new(config).unwrap();
    for request in [read(), write()] {
        let why = error(client.call(&request, AMPLE));
        assert!(matches!(why, LockError::Unavailable(_)), "{why:?}");
        let message = why.to_string();
        assert!(
            message.contains("407") && message.contains(&address.to_string()),
            "{message}"
        );
        assert!(message.starts_with("HTTP_PROXY: "), "{message}");
        assert!(message.contains("proxy password"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn refused_tunnel_names_variable() {
    for answer in [
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 503 Busy\r\n\r\n",
    ] {
        let server = Server::new([]);
        let (address, _) = proxy(server.address, answer);
        let mut config = config("http://ghe.invalid");
        config.proxy = ProxySettings::read(|name| match name {
            "all_proxy" => Some(address.to_string()),
            _ => None,
        });
        let mut client = GistClient::new(config).unwrap();
        let why = error(client.call(&read(), AMPLE)).to_string();
        assert!(why.starts_with("all_proxy: "), "{why}");
        assert!(why.contains("ghe.invalid:80"), "{why}");
        assert!(!why.contains("HTTPS_PROXY"), "{why}");
    }
}

#[test]
fn hung_proxy_times_out() {
    for step in [Step::Hang, Step::Trickle("HTTP/1.1 200 OK\r\nx: ".into())] {
        let hung = Server::new([step]);
        let mut config = config("http://ghe.invalid");
        config.proxy.all_proxy = Some(hung.url());
        let mut client = GistClient::new(config).unwrap();
        let started = Monotonic::now();
        assert_unavailable(client.call(&write(), Duration::from_millis(300)), "proxy");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
