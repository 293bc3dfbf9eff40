use super::*;
use crate::lock::gist::wire::target::check_api_url;

const MINUTE: Duration = Duration::from_secs(60);

fn head(status: u16, headers: &[(&str, &'static str)]) -> Head {
    Head::new(status, |name| {
        headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    })
}

fn judge(write: bool, head: &Head, message: &str) -> LockError {
    let api = check_api_url("https://api.github.com", false).unwrap();
    let asked = Asked {
        api: &api,
        write,
        limits_before: 0,
    };
    asked.failure(head, Some(message))
}

fn wait_of(error: &LockError) -> Duration {
    match error {
        LockError::RateLimited { retry_after, .. } => *retry_after,
        other => panic!("not throttled: {other:?}"),
    }
}

#[test]
fn recorded_headers_are_parsed() {
    let head = head(
        200,
        &[
            ("date", "Mon, 27 Apr 2020 17:24:06 GMT"),
            ("etag", "W/\"7b67efd855ab094b8909712c7e622749\""),
            ("x-oauth-scopes", "gist, repo"),
            (
                "github-authentication-token-expiration",
                "2020-05-27 17:24:06 UTC",
            ),
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "4975"),
            ("x-ratelimit-reset", "1588010945"),
        ],
    );
    assert_eq!(head.date, Some(1_588_008_246));
    assert_eq!(
        head.etag.as_deref(),
        Some("W/\"7b67efd855ab094b8909712c7e622749\"")
    );
    assert_eq!(head.scopes.as_deref(), Some("gist, repo"));
    assert_eq!(head.token_expires_at, Some(1_590_600_246));
    let rate = RateLimit {
        limit: 5000,
        remaining: 4975,
        resets_at: 1_588_010_945,
    };
    assert_eq!(head.rate(), Some(rate));
    assert_eq!(Head::default().rate(), None);
}

#[test]
fn corrupt_headers_count_as_absent() {
    let long: &'static str = Box::leak("x".repeat(2000).into_boxed_str());
    let head = head(
        200,
        &[
            ("date", "yesterday"),
            ("etag", long),
            ("x-oauth-scopes", ""),
            ("github-authentication-token-expiration", "tomorrow"),
            ("retry-after", "-1"),
            ("x-ratelimit-limit", "many"),
            ("x-ratelimit-remaining", "99999999999999999999999"),
            ("x-ratelimit-reset", "18446744073709551615"),
        ],
    );
    let bare = Head {
        status: 200,
        ..Head::default()
    };
    assert_eq!(head, bare);
}

#[test]
fn each_status_has_its_failure() {
    type Kind = fn(&LockError) -> bool;
    let unauthorized: Kind = |error| matches!(error, LockError::Unauthorized(_));
    let not_found: Kind = |error| matches!(error, LockError::NotFound(_));
    let unavailable: Kind = |error| matches!(error, LockError::Unavailable(_));
    let unknown: Kind = |error| matches!(error, LockError::OutcomeUnknown(_));
    for (status, read, write) in [
        (401, unauthorized, unauthorized),
        (403, unauthorized, unauthorized),
        (404, not_found, not_found),
        (410, not_found, not_found),
        (451, not_found, not_found),
        (301, unavailable, unavailable),
        (302, unavailable, unavailable),
        (307, unavailable, unavailable),
        (308, unavailable, unavailable),
        (400, unavailable, unknown),
        (409, unavailable, unknown),
        (412, unavailable, unknown),
        (422, unavailable, unavailable),
        (500, unavailable, unknown),
        (502, unavailable, unknown),
        (503, unavailable, unknown),
        (204, unavailable, unknown),
        (418, unavailable, unknown),
    ] {
        let head = head(status, &[("x-ratelimit-remaining", "17")]);
        let (get, patch) = (judge(false, &head, "Oh"), judge(true, &head, "Oh"));
        assert!(read(&get), "GET {status}: {get:?}");
        assert!(write(&patch), "PATCH {status}: {patch:?}");
        let said = format!("{status} Oh");
        assert!(get.to_string().contains(&said), "{get}");
        assert!(patch.to_string().contains(&said), "{patch}");
    }
}

#[test]
fn failures_state_the_fix() {
    for (status, write, hint) in [
        (401, false, "GITHUB_API_TOKEN"),
        (403, true, "scope gist"),
        (404, false, "GIST_ID"),
        (404, true, "scope gist"),
        (302, false, "GITHUB_API_URL"),
        (407, false, "proxy password"),
    ] {
        let error = judge(write, &head(status, &[]), "").to_string();
        assert!(error.contains(hint), "{status}: {error}");
        assert!(error.contains("api.github.com"), "{status}: {error}");
        assert!(!error.ends_with('.'), "{status}: {error}");
    }
}

#[test]
fn limit_and_refusal_differ() {
    let secondary =
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    for error in [
        judge(true, &head(429, &[]), ""),
        judge(true, &head(403, &[("retry-after", "60")]), "Forbidden"),
        judge(false, &head(403, &[("x-ratelimit-remaining", "0")]), ""),
        judge(false, &head(403, &[]), secondary),
        judge(
            false,
            &head(403, &[]),
            "You have triggered an abuse detection mechanism",
        ),
    ] {
        assert_eq!(wait_of(&error), MINUTE, "{error:?}");
    }
    let refused = judge(
        true,
        &head(403, &[]),
        "Resource not accessible by integration",
    );
    assert!(matches!(refused, LockError::Unauthorized(_)), "{refused:?}");
}

#[test]
fn retry_after_precedes_reset_precedes_minute() {
    let date = ("date", "Mon, 27 Apr 2020 17:24:06 GMT");
    let (none_left, reset) = (
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1588008346"),
    );
    let wait = |headers: &[_]| wait_of(&judge(true, &head(429, headers), ""));
    assert_eq!(
        wait(&[date, none_left, reset, ("retry-after", "7")]),
        Duration::from_secs(7)
    );
    assert_eq!(wait(&[date, none_left, reset]), Duration::from_secs(101));
    assert_eq!(
        wait(&[none_left, reset]),
        MINUTE,
        "no clock to compare with"
    );
    assert_eq!(wait(&[date, reset]), MINUTE, "the limit is another one");
    let past = ("x-ratelimit-reset", "1588008246");
    assert_eq!(wait(&[date, none_left, past]), MINUTE);
    let retry_at = ("retry-after", "Mon, 27 Apr 2020 17:25:36 GMT");
    assert_eq!(wait(&[date, retry_at]), Duration::from_secs(90));
}

#[test]
fn undated_waits_double_within_bounds() {
    let bare = head(429, &[]);
    for (before, seconds) in [
        (0, 60),
        (1, 120),
        (2, 240),
        (5, 1920),
        (6, 3660),
        (99, 3660),
    ] {
        assert_eq!(bare.wait(before), Duration::from_secs(seconds));
    }
    let asks = |text| head(429, &[("retry-after", text)]).wait(0);
    assert_eq!(asks("0"), SHORTEST_WAIT);
    assert_eq!(asks("18446744073709551615"), LONGEST_WAIT);
    let far = head(
        429,
        &[
            ("date", "Mon, 27 Apr 2020 17:24:06 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "9223372036854775807"),
        ],
    );
    assert_eq!(far.wait(0), LONGEST_WAIT);
}

#[test]
fn arbitrary_headers_never_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let samples = [
        "0",
        "-1",
        "1588010945",
        "18446744073709551615",
        "Mon, 27 Apr 2020 17:24:06 GMT",
        "Fri, 31 Dec 9999 23:59:60 GMT",
        "-9223372036854775808",
        "",
        "é",
        "W/\"\"",
    ];
    for _ in 0..5_000 {
        let values: Vec<&'static str> = (0..7).map(|_| samples[random.usize(..10)]).collect();
        let next = std::cell::Cell::new(0);
        let head = Head::new(random.u16(..), |_| {
            next.set(next.get() + 1);
            values.get(next.get() - 1).copied()
        });
        assert!(head.wait(random.u32(..)) <= LONGEST_WAIT);
        let _ = judge(random.bool(), &head, samples[random.usize(..10)]);
    }
}

#[test]
fn both_forms_of_expiration_are_parsed() {
    let expiration = |text| {
        let headers = [("github-authentication-token-expiration", text)];
        head(200, &headers).token_expires_at
    };
    assert_eq!(expiration("2020-05-27 17:24:06 UTC"), Some(1_590_600_246));
    assert_eq!(expiration("2020-05-27 19:24:06 +0200"), Some(1_590_600_246));
    assert_eq!(expiration("2020-05-27 09:54:06 -0730"), Some(1_590_600_246));
    for text in [
        "2020-05-27",
        "2020-05-27 17:24:06",
        "2020-05-27 17:24:06 CEST",
        "2020-13-27 17:24:06 UTC",
        "2020-05-27 17:24:06 +9999",
        "2020-05-27 17:24:06 0200",
        "9999999-05-27 17:24:06 UTC",
    ] {
        assert_eq!(expiration(text), None, "{text}");
    }
}

#[test]
fn web_page_blames_address() {
    let html = &[("content-type", "text/html; charset=utf-8")][..];
    let json = &[("content-type", "application/json; charset=utf-8")][..];
    let say = |url, status, write, headers, message: Option<&str>| {
        let api = check_api_url(url, false).unwrap();
        let asked = Asked {
            api: &api,
            write,
            limits_before: 0,
        };
        let error = asked.failure(&head(status, headers), message);
        (error.is_permanent(), error.to_string())
    };
    for status in [401, 403, 404, 410] {
        for write in [false, true] {
            for (headers, message) in [(html, Some("")), (&[], None), (json, None)] {
                let (permanent, said) =
                    say("https://ghe.example:8443/", status, write, headers, message);
                assert!(permanent, "{said}");
                assert!(said.starts_with("GITHUB_API_URL: "), "{said}");
                assert!(said.contains("https://ghe.example:8443/api/v3"), "{said}");
            }
        }
    }
    let (_, said) = say("https://ghe.example/api/v3", 404, false, html, None);
    assert!(
        said.contains("GITHUB_API_URL") && said.contains("proxy"),
        "{said}"
    );
    let (_, said) = say("https://ghe.example", 404, false, json, Some("Not Found"));
    assert!(said.starts_with("GIST_ID: "), "{said}");
}

#[test]
fn redirect_names_target_without_query() {
    let headers = [(
        "location",
        "https://me:s3cret@sso.example/login?token=s3cret",
    )];
    let message = "Found. Redirecting to /login?token=s3cret";
    let said = judge(false, &head(302, &headers), message).to_string();
    assert!(said.contains(" to https://sso.example/login ("), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}
