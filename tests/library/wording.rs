//! Words that the glossary replaces, in everything that people read.
//!
//! Names count too: `spoiltRecord` and `spoilt_record` are the words "spoilt record".

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Replaced phrases and the terms in their place. Alternatives are separated by `/`.
///
/// Single common words are missing, because they have other meanings too.
const REPLACED: &[(&str, &str)] = &[
    ("look in/looks in/looked in/looking in", "read, poll"),
    (
        "look back/looks back/look again/looks again",
        "history scan, read",
    ),
    (
        "what was seen/last seen/was last seen/what stands there",
        "observed record",
    ),
    (
        "claim the lead/take the lead/takes the lead/claimant/claimants",
        "acquire, Acquiring",
    ),
    (
        "take the lease/takes the lease/took the lease/taken the lease",
        "acquire",
    ),
    (
        "give back/gives back/gave back/given back/giving back/give it back/gives it back",
        "release",
    ),
    (
        "give the lease back/gives the lease back/gave the lease back/lease given back",
        "release",
    ),
    ("let go/lets go", "release"),
    (
        "stand again/stands again/stand back/stands back/stood back",
        "rejoin, back off",
    ),
    (
        "in effect/took effect/take effect/takes effect/taken effect",
        "effective",
    ),
    (
        "past the elections/by a person/plain write/plain writes",
        "foreign write",
    ),
    ("spoilt/spoiled/rewound", "corrupt, history rewritten"),
    ("vanished/vanishes/vanish", "lost write, deleted"),
    ("walk back/walks back/history walk", "history scan"),
    (
        "hours requests/hour s requests/minutes requests",
        "request budget",
    ),
    ("rhythm/rhythms", "renewal prediction"),
    ("polite/politely/polite end", "graceful shutdown"),
    ("safeguard/safeguards", "rule, mutant"),
    (
        "in this world/each world/every world/drawn world/drawn worlds",
        "run",
    ),
    ("for people/those who look in/who looks", "status, display"),
    ("mend/mends/mended/mending", "fix"),
    ("in front of which", "wrapped program"),
    ("whoever/whosoever", "the actor's name"),
    (
        "is to be/are to be/was to be/were to be/has to be/have to be/had to be",
        "must, should",
    ),
    ("at the most", "at most"),
    ("at once", "immediately, simultaneously"),
    (
        "meanwhile/as ever/hardly/so to say/so to speak/in vain/or so/mostly",
        "nothing",
    ),
    (
        "of its own/of their own/of his own/of our own",
        "separate, dedicated",
    ),
    ("be it", "whether"),
    (
        "is no error/is no reason/is no longer than/is no more than/it is no",
        "is not a",
    ),
    ("sends us/wants fewer", "redirected, rate limited"),
    ("play along/plays along", "the error"),
    ("crowd/crowds/crowded", "many candidates"),
];

/// Uses that stay: part of the path, phrase, reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("CHANGELOG.md", "rewound", OLD_NAME),
    ("CHANGELOG.md", "polite", OLD_NAME),
    ("CHANGELOG.md", "spoilt", OLD_NAME),
    ("CHANGELOG.md", "claimant", OLD_NAME),
];

/// Reason for the names in the change log.
const OLD_NAME: &str = "a name of an earlier build, beside the present one";

/// Endings of the names of files that people read.
const READ: &[&str] = &[
    ".md",
    ".rs",
    ".sh",
    ".yaml",
    ".yml",
    ".toml",
    ".txt",
    ".html",
    ".js",
    ".css",
    ".json",
    ".go",
    ".patch",
    "Makefile",
    "Dockerfile",
    "run",
];

/// A word in lower case with its line; the empty word ends a sentence.
struct Word {
    line: usize,
    text: String,
}

/// Splits a text into words. Names are split at capitals and underscores.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line
            .trim_start()
            .trim_start_matches(['/', '!', '#', '*', '>']);
        let mut word = String::new();
        let mut end = |word: &mut String| {
            if !word.is_empty() {
                let (line, text) = (number + 1, std::mem::take(word));
                words.push(Word { line, text });
            }
        };
        let mut before = ' ';
        for c in line.chars() {
            if c.is_uppercase() && before.is_lowercase() || !c.is_alphabetic() {
                end(&mut word);
            }
            if c.is_alphabetic() {
                word.extend(c.to_lowercase());
            } else if matches!(c, '.' | ',' | ';' | ':' | '"' | '(' | ')' | '|' | '`' | '=') {
                word.push('.');
                end(&mut word);
            }
            before = c;
        }
        end(&mut word);
    }
    words
}

/// Returns the replaced phrases in a text: line, phrase, term.
fn findings(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let words = words(text);
    let mut by_first_word: HashMap<&str, Vec<(&'static str, &'static str)>> = HashMap::new();
    for (phrases, term) in REPLACED {
        for phrase in phrases.split('/') {
            let first = phrase.split(' ').next().unwrap();
            by_first_word
                .entry(first)
                .or_default()
                .push((phrase, *term));
        }
    }
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        for (phrase, term) in by_first_word.get(word.text.as_str()).into_iter().flatten() {
            let mut rest = words[at..].iter().map(|word| word.text.as_str());
            if phrase.split(' ').all(|part| rest.next() == Some(part)) {
                found.push((word.line, *phrase, *term));
            }
        }
    }
    found
}

/// Returns every file below `folder` that people read, except build results.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        if path.is_dir() {
            let skipped = ["target", "node_modules", ".git", "corpus", "results"];
            if !skipped.contains(&name) {
                files.extend(self::files(&path));
            }
        } else if !["wording.rs", "glossary.md"].contains(&name) && is_read(name) {
            files.push(path);
        }
    }
    files
}

fn is_read(name: &str) -> bool {
    READ.iter().any(|end| name.ends_with(end))
}

fn is_allowed(path: &str, phrase: &str) -> bool {
    ALLOWED
        .iter()
        .any(|(part, allowed, _)| path.contains(part) && *allowed == phrase)
}

#[test]
fn replaced_terms_are_absent() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = String::new();
    for path in files(root) {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for (line, phrase, term) in findings(&text) {
            if !is_allowed(name, phrase) {
                found += &format!("{name}:{line}: \"{phrase}\": use {term}\n");
            }
        }
    }
    assert!(found.is_empty(), "see docs/glossary.md\n{found}");
}

#[test]
fn phrases_are_found_in_any_form() {
    let lines = |text| {
        let found = findings(text);
        found.into_iter().map(|(line, ..)| line).collect::<Vec<_>>()
    };
    assert_eq!(lines("/// It acts at\n/// once.\n"), [1]);
    assert_eq!(lines("fn act_at_once() {}\nstruct AtOnce;\n"), [1, 2]);
    assert_eq!(lines("\"acts AT ONCE\""), [1]);
    assert!(lines("It acts at. Once it is done, a crowding.").is_empty());
}

#[test]
fn every_exception_is_needed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = files(root)
        .into_iter()
        .map(|path| {
            (
                path.to_str().unwrap().to_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    for (part, phrase, reason) in ALLOWED {
        assert!(!reason.is_empty());
        let used = files.iter().any(|(path, text)| {
            path.contains(part) && findings(text).iter().any(|(_, found, _)| found == phrase)
        });
        assert!(
            used,
            "{part}: \"{phrase}\" does not occur: remove the exception"
        );
    }
}
