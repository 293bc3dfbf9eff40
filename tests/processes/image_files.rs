//! The files from which the image is built.

use crate::manifests::read;

/// Returns the instructions of a Dockerfile, without comments.
fn instructions(file: &str) -> Vec<String> {
    let lines = file.lines().map(str::trim_end);
    let lines = lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// Returns the final stage, without the source of the program.
fn final_stage(file: &str) -> Vec<String> {
    let all = instructions(file);
    let start = all.iter().rposition(|line| line == "FROM scratch").unwrap();
    let stage = all[start..].iter();
    stage
        .map(|line| match line.starts_with("COPY ") {
            true => format!("COPY {}", line.rsplit(' ').next().unwrap()),
            false => line.clone(),
        })
        .collect()
}

#[test]
fn both_dockerfiles_build_same_image() {
    let (whole, local) = (read("Dockerfile"), read("hack/Dockerfile.local"));
    let stage = final_stage(&whole);
    assert_eq!(stage, final_stage(&local));
    for line in [
        "COPY /licenses/",
        "COPY /elector",
        "ENV PATH=/",
        "ENV ELECTOR_HTTP_ADDR=:4040",
        "EXPOSE 4040",
        "USER 65532:65532",
        "ENTRYPOINT [\"/elector\"]",
    ] {
        assert!(stage.contains(&line.to_owned()), "{line}");
    }
}

#[test]
fn dockerfiles_need_no_buildkit() {
    for name in ["Dockerfile", "hack/Dockerfile.local"] {
        let text = read(name);
        // A directive counts in the first lines, in upper or lower case.
        let first = text.lines().next().unwrap().to_lowercase();
        assert!(!first.replace(' ', "").starts_with("#syntax="), "{name}");
        for line in instructions(&text) {
            for option in ["--mount", "--chmod", "--link", "--network", "<<"] {
                assert!(!line.contains(option), "{name}: {line}");
            }
        }
    }
}

#[test]
fn builder_image_is_pinned_by_digest() {
    let text = read("Dockerfile");
    let builder = text.lines().find_map(|l| l.strip_prefix("ARG BUILDER="));
    let (tag, digest) = builder.unwrap().split_once("@sha256:").unwrap();
    let version = tag.strip_prefix("rust:").unwrap();
    assert_eq!(version.split('-').next().unwrap().split('.').count(), 3);
    assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
}

/// Without this test, only a build with an engine would show that a file is missing.
#[test]
fn build_context_holds_needed_files_only() {
    let text = read(".dockerignore");
    let rules = instructions(&text);
    assert_eq!(rules[0], "*");
    let mut sent: Vec<&str> = rules[1..]
        .iter()
        .map(|r| r.strip_prefix('!').unwrap())
        .collect();
    sent.sort_unstable();
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|l| l.strip_prefix("members = "));
    let members: Vec<String> = serde_json::from_str(members.unwrap()).unwrap();
    let mut needed = vec!["Cargo.toml", "Cargo.lock", "src", "hack/build-static.sh"];
    needed.extend(["LICENSE", "THIRD-PARTY-NOTICES"]);
    needed.extend(members.iter().map(String::as_str));
    needed.sort_unstable();
    assert_eq!(sent, needed);
}
