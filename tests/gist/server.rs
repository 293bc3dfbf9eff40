//! Routes and statuses of the gist service over real sockets, compared with GitHub's known answers.

use crate::support::wire::{call, get, patch, put, start, start_with};
use elector::emulator::Options;

#[test]
fn unchanged_gist_answers_304() {
    let (_service, addr, id) = start();
    let path = format!("/gists/{id}");
    let etag = get(addr, &path).header("etag").unwrap().to_owned();
    let ask = |headers: &[(&str, &str)]| call(addr, "GET", &path, headers, "");
    let same = ask(&[("If-None-Match", &etag)]);
    assert_eq!(
        (same.status, same.body.len(), same.header("etag")),
        (304, 0, Some(etag.as_str()))
    );
    assert!(same.header("date").is_some());
    assert_eq!(
        ask(&[("If-None-Match", etag.strip_prefix("W/").unwrap())]).status,
        304
    );
    assert_eq!(
        ask(&[("If-None-Match", &format!("\"other\", {etag}"))]).status,
        304
    );
    assert_eq!(
        ask(&[
            ("If-None-Match", &etag),
            ("Authorization", "Bearer another")
        ])
        .status,
        200
    );
    put(addr, &id, "changed");
    assert_eq!(ask(&[("If-None-Match", &etag)]).status, 200);
}

#[test]
fn patch_edits_renames_and_deletes() {
    let (service, addr, _) = start();
    let files = [
        ("abc.txt", "abc"),
        ("def.txt", "def"),
        ("ghi.txt", "ghi"),
        ("jkl.txt", "jkl"),
    ];
    let id = service.create_gist(&files).unwrap();
    let answer = patch(
        addr,
        &id,
        r#"{"description":"d","files":{"abc.txt":{"filename":"ab.txt"},"def.txt":null,"ghi.txt":{"content":"gh"},
            "jkl.txt":{"filename":"klm.txt","content":"nop"}}}"#,
    );
    let json = answer.json();
    let contents: Vec<_> = json["files"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(k, v)| (k.as_str(), v["content"].as_str()))
        .collect();
    assert_eq!(
        contents,
        [
            ("ab.txt", Some("abc")),
            ("ghi.txt", Some("gh")),
            ("klm.txt", Some("nop"))
        ]
    );
    assert_eq!(json["description"], "d");
    let change = &json["history"][0]["change_status"];
    assert_eq!(
        (&change["total"], &change["additions"], &change["deletions"]),
        (&5.into(), &2.into(), &3.into())
    );
}

#[test]
fn impossible_edits_change_nothing() {
    let (service, addr, id) = start();
    for (body, status) in [
        (r#"{"files":{"leader.json":{"content":""}}}"#, 422),
        (r#"{"files":{"leader.json":null}}"#, 422),
        (r#"{"files":{"leader.json":{"content":"x","mode":1}}}"#, 422),
        (r#"{"files":{"leader.json":{"content":"x"}},"etag":1}"#, 422),
        (r#"{"files":{"leader.json":"x"}}"#, 422),
        ("{}", 422),
        ("", 400),
        ("{\"files\":", 400),
    ] {
        let answer = patch(addr, &id, body);
        assert_eq!(answer.status, status, "{body}");
        assert!(!answer.message().is_empty());
    }
    let deep = format!("{{\"files\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert!(matches!(patch(addr, &id, &deep).status, 400 | 422));
    assert_eq!(service.history(&id).len(), 1);
}

#[test]
fn conditional_writes_are_refused() {
    let (service, addr, id) = start();
    for name in ["If-Match", "If-None-Match"] {
        let body = r#"{"files":{"leader.json":{"content":"x"}}}"#;
        let answer = call(
            addr,
            "PATCH",
            &format!("/gists/{id}"),
            &[(name, "\"x\"")],
            body,
        );
        assert_eq!(answer.status, 400);
        assert!(
            answer
                .message()
                .starts_with("Conditional request headers are not allowed in unsafe requests")
        );
    }
    assert_eq!(service.history(&id).len(), 1);
}

#[test]
fn gist_is_created_listed_and_deleted() {
    let (_service, addr, _) = start();
    let body = r#"{"description":"Test","public":false,"files":{"a.txt":{"content":"abc"}}}"#;
    let made = call(addr, "POST", "/gists", &[], body);
    assert_eq!(made.status, 201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        made.header("location"),
        Some(format!("http://gist.test/gists/{id}").as_str())
    );
    assert_eq!(get(addr, "/gists").json()[0]["id"], id.as_str());
    assert_eq!(
        call(addr, "GET", "/gists", &[("Authorization", "")], "")
            .json()
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let path = format!("/gists/{id}");
    let gone = call(addr, "DELETE", &path, &[], "");
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    let missing = get(addr, &path);
    assert_eq!(
        (missing.status, missing.message().as_str()),
        (404, "Not Found")
    );
    assert!(
        missing
            .text()
            .starts_with("{\"message\":\"Not Found\",\"documentation_url\":\"https://")
    );
    assert_eq!(call(addr, "DELETE", &path, &[], "").status, 404);
    assert_eq!(patch(addr, &id, body).status, 422);
    assert_eq!(put(addr, &id, "x").status, 404);
}

#[test]
fn every_revision_can_be_read() {
    let (service, addr, id) = start();
    for content in ["one", "two"] {
        put(addr, &id, content);
    }
    let history = service.history(&id);
    assert_eq!(history.len(), 3);
    let json = get(addr, &format!("/gists/{id}/{}", history[1].revision)).json();
    assert_eq!(json["files"]["leader.json"]["content"], "one");
    assert_eq!(json["history"].as_array().unwrap().len(), 2);
    assert_eq!(
        json["history"][0]["version"],
        history[1].revision.to_string()
    );
    for sha in [
        "0000000000000000000000000000000000000000",
        "nonsense",
        "%00",
    ] {
        assert_eq!(
            get(addr, &format!("/gists/{id}/{sha}")).status,
            404,
            "{sha}"
        );
    }
}

#[test]
fn commit_pages_link_other_pages() {
    let (service, addr, id) = start();
    for n in 0..34 {
        service
            .edit(&id, |files| {
                files.insert("leader.json".to_owned(), n.to_string());
            })
            .unwrap();
    }
    let path = format!("/gists/{id}/commits");
    let first = get(addr, &path);
    assert_eq!(first.json().as_array().unwrap().len(), 30);
    let link = first.header("link").unwrap();
    assert_eq!(
        link,
        format!(
            "<http://gist.test{path}?per_page=30&page=2>; rel=\"next\", <http://gist.test{path}?per_page=30&page=2>; rel=\"last\""
        )
    );
    let second = get(addr, &format!("{path}?per_page=30&page=2"));
    assert_eq!(second.json().as_array().unwrap().len(), 5);
    assert!(second.header("link").unwrap().contains("rel=\"prev\""));
    assert_eq!(
        get(addr, &format!("{path}?page=9"))
            .json()
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let all = get(addr, &format!("{path}?per_page=1000"));
    assert_eq!(
        (all.json().as_array().unwrap().len(), all.header("link")),
        (35, None)
    );
    assert_eq!(
        all.json()[0],
        get(addr, &format!("/gists/{id}")).json()["history"][0]
    );
    assert_eq!(
        get(
            addr,
            &format!("{path}?page=18446744073709551615&per_page=x")
        )
        .status,
        200
    );
}

#[test]
fn access_tokens_determine_permissions() {
    let tokens =
        ["full", "other:repo", "none:", "github_pat_fine"].map(|text| text.parse().unwrap());
    let (_service, addr, id) = start_with(Options {
        tokens: tokens.to_vec(),
        ..Options::default()
    });
    let path = format!("/gists/{id}");
    let body = r#"{"files":{"leader.json":{"content":"CONTENT"}}}"#;
    for (authorization, read, write, scopes) in [
        ("Bearer full", 200, 200, Some("gist")),
        ("token full", 200, 200, Some("gist")),
        ("Bearer github_pat_fine", 200, 200, None),
        ("Bearer other", 200, 404, Some("repo")),
        ("Bearer none", 200, 404, Some("")),
        ("Bearer wrong", 401, 401, None),
        ("Bearer", 401, 401, None),
        ("Basic full", 401, 401, None),
        ("", 200, 401, None),
    ] {
        let headers = [("Authorization", authorization)];
        let seen = call(addr, "GET", &path, &headers, "");
        let wrote = call(
            addr,
            "PATCH",
            &path,
            &headers,
            &body.replace("CONTENT", authorization),
        );
        assert_eq!(
            (seen.status, wrote.status),
            (read, write),
            "{authorization:?}"
        );
        assert_eq!(seen.header("x-oauth-scopes"), scopes, "{authorization:?}");
    }
    let message = |authorization| {
        call(
            addr,
            "PATCH",
            &path,
            &[("Authorization", authorization)],
            body,
        )
        .message()
    };
    assert_eq!(message("Bearer wrong"), "Bad credentials");
    assert_eq!(message(""), "Requires authentication");
}

#[test]
fn missing_user_agent_is_refused() {
    let (_service, addr, id) = start();
    assert_eq!(
        call(
            addr,
            "GET",
            &format!("/gists/{id}"),
            &[("User-Agent", "")],
            ""
        )
        .status,
        403
    );
}

#[test]
fn github_enterprise_paths_work() {
    let (_service, addr, id) = start();
    let json = get(addr, &format!("/api/v3/gists/{id}")).json();
    assert_eq!(json["url"], format!("http://gist.test/api/v3/gists/{id}"));
    assert_eq!(get(addr, "/api/v3/").status, 200);
    assert_eq!(get(addr, "/api/v30/gists").status, 404);
    assert_eq!(get(addr, "/").status, 200);
    assert_eq!(get(addr, "/users/x").status, 404);
    assert_eq!(
        call(addr, "PUT", &format!("/gists/{id}"), &[], "{}").status,
        404
    );
}

#[test]
fn requests_count_by_route_and_outcome() {
    let (service, addr, id) = start();
    get(addr, &format!("/gists/{id}"));
    get(addr, "/gists/missing");
    put(addr, &id, "x");
    let counters = service.requests();
    assert_eq!(counters.of("GET", "/gists/{id}", "200"), 1);
    assert_eq!(counters.of("GET", "/gists/{id}", "404"), 1);
    assert_eq!(counters.of("PATCH", "", ""), 1);
    let shown = get(addr, "/_requests").json();
    assert_eq!(shown["total"], 3);
    assert_eq!(shown["requests"].as_array().unwrap().len(), 3);
    assert_eq!(call(addr, "POST", "/_reset-counters", &[], "").status, 204);
    assert_eq!(service.requests().total(), 0);
}

#[test]
fn edits_and_pushes_bypass_the_api() {
    let (service, addr, id) = start();
    put(addr, &id, "one");
    service
        .edit(&id, |files| {
            files.insert("notes.md".to_owned(), "by hand".to_owned());
        })
        .unwrap();
    assert_eq!(
        get(addr, &format!("/gists/{id}")).json()["files"]["notes.md"]["content"],
        "by hand"
    );
    let removed = service.history(&id)[0].revision;
    service.remove_newest(&id, 1).unwrap();
    assert_eq!(
        get(addr, &format!("/gists/{id}")).json()["files"]["leader.json"]["content"],
        "one"
    );
    assert_eq!(get(addr, &format!("/gists/{id}/{removed}")).status, 404);
    assert!(service.edit(&id, |files| files.clear()).is_err());
}
