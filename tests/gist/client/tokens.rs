//! Rotation and expiration of the access token.

use super::*;

#[test]
fn access_token_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "token-one\n").unwrap();
    let server = Server::new([good(), good(), status(401, &[], "Bad credentials"), good()]);
    let mut config = config(&server.url());
    config.access_token = AccessTokenSource::File(path.clone());
    let mut client = GistClient::new(config).unwrap();
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    std::fs::write(&path, "token-two-is-longer\n").unwrap();
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    std::fs::remove_file(&path).unwrap();
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    let requests = server.requests();
    for (number, token) in ["one", "two-is-longer", "two-is-longer", "two-is-longer"]
        .into_iter()
        .enumerate()
    {
        let line = format!("authorization: Bearer token-{token}\r\n");
        assert!(requests[number].contains(&line), "{}", requests[number]);
    }
}

/// Returns a client whose access token, from a file, changes from `token-one` to `token-two`.
fn rotating(server: &Server) -> (tempfile::TempDir, GistClient) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "token-one\n").unwrap();
    let mut config = config(&server.url());
    config.access_token = AccessTokenSource::File(path);
    (folder, GistClient::new(config).unwrap())
}

/// Returns the access tokens of the requests so far.
fn tokens(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let token = |request: &String| {
        let (_, rest) = request.split_once("authorization: Bearer token-").unwrap();
        rest.split_once('\r').unwrap().0.to_owned()
    };
    requests.iter().map(token).collect()
}

fn rejected() -> Step {
    status(401, &[], "Bad credentials, token-two")
}

#[test]
fn refused_token_keeps_previous_one() {
    let server = Server::new([good(), rejected(), good(), good(), good()]);
    let (folder, mut client) = rotating(&server);
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    std::fs::write(folder.path().join("token"), "token-two").unwrap();
    for request in [write(), read(), write()] {
        assert!(client.call(&request, AMPLE).reply.is_ok());
    }
    assert_eq!(tokens(&server), ["one", "two", "one", "one", "one"]);
    // Only a changed file is tried again.
    server.then(good());
    server.then(rejected());
    server.then(rejected());
    std::fs::write(folder.path().join("token"), "token-three").unwrap();
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    assert!(client.call(&write(), AMPLE).reply.is_err());
    assert_eq!(tokens(&server)[5..], ["three", "three", "three"]);
}

#[test]
fn read_only_token_keeps_previous_one() {
    for refusal in [
        status(404, &[], "Not Found"),
        status(403, &[], "Resource not accessible by integration"),
    ] {
        let server = Server::new([good(), good(), refusal, good(), good()]);
        let (folder, mut client) = rotating(&server);
        assert!(client.call(&write(), AMPLE).reply.is_ok());
        std::fs::write(folder.path().join("token"), "token-two").unwrap();
        for request in [read(), write(), write()] {
            assert!(client.call(&request, AMPLE).reply.is_ok());
        }
        assert_eq!(tokens(&server), ["one", "two", "two", "one", "one"]);
    }
}

#[test]
fn revoked_previous_token_is_given_up() {
    let mut steps = vec![rejected(); 3];
    steps.insert(0, good());
    let server = Server::new(steps);
    let (folder, mut client) = rotating(&server);
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    std::fs::write(folder.path().join("token"), "token-two").unwrap();
    match error(client.call(&write(), AMPLE)) {
        LockError::Unauthorized(why) => {
            assert!(why.contains("401 Bad credentials"), "{why}");
            assert!(!why.contains("token-two"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    server.then(good());
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    assert_eq!(tokens(&server), ["one", "two", "one", "one", "two"]);
}

#[test]
fn revoked_token_yields_to_file() {
    let server = Server::new([good(), rejected(), good(), rejected(), rejected(), good()]);
    let (folder, mut client) = rotating(&server);
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    std::fs::write(folder.path().join("token"), "token-two").unwrap();
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    assert!(client.call(&write(), AMPLE).reply.is_err());
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    assert_eq!(tokens(&server), ["one", "two", "one", "one", "one", "two"]);
}

#[test]
fn missing_gist_does_not_blame_token() {
    let missing = || status(404, &[], "Not Found");
    let server = Server::new([good(), missing(), missing(), missing(), good()]);
    let (folder, mut client) = rotating(&server);
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    std::fs::write(folder.path().join("token"), "token-two").unwrap();
    for _ in 0..2 {
        let why = error(client.call(&write(), AMPLE));
        assert!(matches!(why, LockError::NotFound(_)), "{why:?}");
    }
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    assert_eq!(tokens(&server), ["one", "two", "one", "two", "two"]);
}

#[test]
fn token_expiration_is_recorded() {
    let expires = |at| {
        let headers = [("github-authentication-token-expiration", at)];
        Step::Answer(http(200, &headers, &gist("x", 3)))
    };
    let server = Server::new([
        expires("2020-05-27 17:24:06 UTC"),
        status(500, &[], "Oh"),
        expires("2020-05-27 19:24:07 +0200"),
        good(),
    ]);
    let mut client = client(&server.url());
    for expected in [
        Some(1_590_600_246),
        Some(1_590_600_246),
        Some(1_590_600_247),
        None,
    ] {
        let _ = client.call(&read(), AMPLE);
        assert_eq!(client.stats().access_token_expires_at, expected);
    }
}
