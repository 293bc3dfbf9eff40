//! Rust source as the house rules see it: the code without its tests, and the paths that are named in
//! it.
//!
//! This is no parser of Rust. It knows enough to say which paths a piece of code names, and errs on
//! the side of naming too many. Code that a macro puts together from pieces is beyond it.

use std::collections::BTreeSet;

use crate::house::lexer::{Token, is_word, tokens};

/// A path that is named somewhere, in full as far as that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its segments; `*` for everything below.
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    /// It stands in a `use`.
    pub(crate) imported: bool,
    /// It is imported under another name.
    pub(crate) renamed: bool,
}

/// A file's code that is not test code.
#[derive(Debug, Default)]
pub(crate) struct Code {
    pub(crate) tokens: Vec<Token>,
    /// Modules that are declared here, and stand in files of their own, for tests only.
    pub(crate) test_modules: BTreeSet<String>,
    /// The files of such modules, where a `path` attribute names them: from this file's folder.
    pub(crate) test_paths: BTreeSet<String>,
}

/// Reads a file.
pub(crate) fn read(source: &str) -> Code {
    without_tests(&tokens(source))
}

/// Leaves out every item under `#[cfg(test)]`, and the file when `#![cfg(test)]` opens it.
fn without_tests(tokens: &[Token]) -> Code {
    let mut code = Code::default();
    let mut at = 0;
    while at < tokens.len() {
        if starts(tokens, at, &["#", "!", "[", "cfg", "(", "test", ")", "]"]) {
            return Code::default();
        }
        if !starts(tokens, at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            code.tokens.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let item = after_attributes(tokens, at);
        let end = end_of_item(tokens, item);
        if let Some(name) = declared_module(&tokens[item..end]) {
            match path_attribute(&tokens[at..item]) {
                Some(path) => code.test_paths.insert(path),
                None => code.test_modules.insert(name),
            };
        }
        at = end;
    }
    code
}

fn starts(tokens: &[Token], at: usize, texts: &[&str]) -> bool {
    texts
        .iter()
        .enumerate()
        .all(|(offset, text)| is(tokens, at + offset, text))
}

fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

fn after_attributes(tokens: &[Token], mut at: usize) -> usize {
    while is(tokens, at, "#") && is(tokens, at + 1, "[") {
        at = end_of_group(tokens, at + 1);
    }
    at
}

/// The position behind the bracket that closes the one at `at`.
fn end_of_group(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (position, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return position + 1;
        }
    }
    tokens.len()
}

/// What an item begins with that may end with a brace.
const BRACED: &[&str] = &[
    "fn",
    "mod",
    "impl",
    "struct",
    "enum",
    "trait",
    "union",
    "macro_rules",
    "extern",
    "unsafe",
];

/// What an item begins with that ends with a semicolon.
const UNBRACED: &[&str] = &["use", "const", "static", "type", "let"];

/// The position behind the item (or field, arm, statement) that begins at `at`.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let (mut brace_ends, mut comma_ends) = (false, true);
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        match text {
            ";" => return at + 1,
            "," if comma_ends => return at + 1,
            // What holds it ends here.
            ")" | "]" | "}" => return at,
            "{" => {
                at = end_of_group(tokens, at);
                if brace_ends {
                    return at;
                }
            }
            "(" | "[" => at = end_of_group(tokens, at),
            _ => {
                brace_ends |= BRACED.contains(&text);
                comma_ends &= !BRACED.contains(&text) && !UNBRACED.contains(&text);
                at += 1;
            }
        }
    }
    at
}

/// The name in `mod name;`.
fn declared_module(item: &[Token]) -> Option<String> {
    let at = item.iter().position(|token| token.text == "mod")?;
    is(item, at + 2, ";").then(|| item[at + 1].text.clone())
}

/// The file in `#[path = "…"]`.
fn path_attribute(attributes: &[Token]) -> Option<String> {
    let at = (0..attributes.len()).find(|at| starts(attributes, *at, &["[", "path", "=", "\""]))?;
    let words = attributes[at + 4..].iter().map(|token| token.text.as_str());
    Some(words.take_while(|word| *word != "\"").collect())
}

/// Every path in the code of the module `module` (segments below the crate's root): `use` groups
/// spread out, `crate::`, `self::` and `super::` resolved to `crate::…`.
pub(crate) fn paths(tokens: &[Token], module: &[&str]) -> Vec<Named> {
    let mut named = Vec::new();
    let mut inside: Vec<String> = module.iter().map(|&name| name.to_owned()).collect();
    // How deep the braces of each module within the file are.
    let mut opened: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            // `use<'a>` says what a type captures.
            "use" if !is(tokens, at + 1, "<") => {
                let mut tree = Tree {
                    tokens,
                    at: at + 1,
                    inside: &inside,
                    named: &mut named,
                };
                tree.read(&[]);
                at = tree.at.max(at + 1);
                continue;
            }
            "mod" if is(tokens, at + 2, "{") => {
                inside.push(tokens[at + 1].text.clone());
                opened.push(depth);
                at += 2;
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if opened.last() == Some(&depth) {
                    opened.pop();
                    inside.pop();
                }
            }
            text if text.chars().next().is_some_and(is_word) => {
                let (path, end) = plain_path(tokens, at);
                let line = tokens[at].line;
                let path = resolve(&path, &inside);
                named.push(Named {
                    path,
                    line,
                    imported: false,
                    renamed: false,
                });
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    named
}

/// `a::b::c` at `at`, and where it ends.
fn plain_path(tokens: &[Token], mut at: usize) -> (Vec<String>, usize) {
    let mut path = vec![tokens[at].text.clone()];
    at += 1;
    while is(tokens, at, "::")
        && tokens
            .get(at + 1)
            .is_some_and(|t| t.text.starts_with(is_word))
    {
        path.push(tokens[at + 1].text.clone());
        at += 2;
    }
    (path, at)
}

/// The tree of paths behind `use`.
struct Tree<'a> {
    tokens: &'a [Token],
    at: usize,
    inside: &'a [String],
    named: &'a mut Vec<Named>,
}

impl Tree<'_> {
    /// Reads one branch, up to what ends it.
    fn read(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        while let Some(token) = self.tokens.get(self.at) {
            match token.text.as_str() {
                "::" => self.at += 1,
                "{" => return self.read_group(&path),
                "as" => {
                    self.name(path, true);
                    self.at += 2;
                    return;
                }
                "," | "}" | ";" => break,
                text => {
                    path.push(text.to_owned());
                    self.at += 1;
                }
            }
        }
        self.name(path, false);
    }

    fn read_group(&mut self, prefix: &[String]) {
        self.at += 1;
        while let Some(token) = self.tokens.get(self.at) {
            match token.text.as_str() {
                "}" => {
                    self.at += 1;
                    return;
                }
                "," => self.at += 1,
                ";" => return,
                _ => self.read(prefix),
            }
        }
    }

    fn name(&mut self, mut path: Vec<String>, renamed: bool) {
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let path = resolve(&path, self.inside);
        self.named.push(Named {
            path,
            line,
            imported: true,
            renamed,
        });
    }
}

/// A path from the crate's root, if it is one of this crate.
fn resolve(path: &[String], inside: &[String]) -> Vec<String> {
    let first = path.first().map_or("", String::as_str);
    if first == "elector" {
        return [&["crate".to_owned()], &path[1..]].concat();
    }
    if first != "self" && first != "super" || path.len() == 1 && first == "self" {
        return path.to_vec();
    }
    let mut base = inside.to_vec();
    let mut rest = path;
    while let Some((step, after)) = rest.split_first() {
        match step.as_str() {
            "self" => {}
            "super" => {
                base.pop();
            }
            _ => break,
        }
        rest = after;
    }
    [&["crate".to_owned()], &base[..], rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> String {
        let code = read(source);
        let words: Vec<_> = code
            .tokens
            .iter()
            .map(|token| token.text.as_str())
            .collect();
        words.join(" ")
    }

    fn named(source: &str, module: &[&str]) -> Vec<String> {
        let named = paths(&read(source).tokens, module);
        named
            .iter()
            .filter(|named| named.path.len() > 1 || named.imported)
            .map(|named| named.path.join("::"))
            .collect()
    }

    #[test]
    fn test_code_is_left_out_and_the_rest_is_not() {
        let source = "
            fn a() { if b < c { d } }
            #[cfg(test)] #[allow(x)] mod tests { fn e() { { } } }
            fn f() {}
            #[cfg(test)] use g::{h, i};
            #[cfg(test)] const J: [K; 2] = [K { l }, K { m }];
            #[cfg(test)] pub(crate) fn n<T: Into<[u8; 2]>, K>(o: P) -> Q { r }
            #[cfg(test)] mod tests_elsewhere;
            s! { #[cfg(not(test))] t; u }
            struct V { #[cfg(test)] w: X, y: Z }";
        let words = words(source);
        for gone in ["e", "g", "h", "J", "K", "n", "r", "w", "X"] {
            assert!(
                !words.split(' ').any(|word| word == gone),
                "{gone} in {words}"
            );
        }
        for kept in ["a", "d", "f", "s", "t", "u", "V", "y", "Z"] {
            assert!(
                words.split(' ').any(|word| word == kept),
                "{kept} in {words}"
            );
        }
        assert!(read(source).test_modules.contains("tests_elsewhere"));
        let elsewhere = read("#[cfg(test)]\n#[path = \"a/b_c.rs\"]\nmod tests;");
        assert!(elsewhere.test_paths.contains("a/b_c.rs"));
        assert!(elsewhere.test_modules.is_empty() && elsewhere.tokens.is_empty());
        assert_eq!(self::words("//! x\n#![cfg(test)]\nfn a() {}"), "");
    }

    #[test]
    fn use_trees_are_spread_out() {
        let source = "use crate::{a, b::{c, d as e, self}, f::*}; pub use ::std::time; use g as h;";
        let expected = [
            "crate::a",
            "crate::b::c",
            "crate::b::d",
            "crate::b",
            "crate::f::*",
            "std::time",
            "g",
        ];
        assert_eq!(named(source, &["m"]), expected);
    }

    #[test]
    fn paths_are_resolved_from_the_root() {
        let module = ["lock", "gist", "client"];
        let source = "
            use super::wire; use super::super::x; use self::y; use super::super::super::z::Z;
            fn f(a: crate::b::C) -> Vec<super::d::E> { r#self::g::<T>::h(); i.j::<k::L>() }
            mod inner { use super::m; mod deeper { fn f() { super::super::super::n::o() } } }
            use super::p; $crate::q!(); elector::r::s();";
        let expected = [
            "crate::lock::gist::wire",
            "crate::lock::x",
            "crate::lock::gist::client::y",
            "crate::z::Z",
            "crate::b::C",
            "crate::lock::gist::d::E",
            "crate::lock::gist::client::g",
            "k::L",
            "crate::lock::gist::client::m",
            "crate::lock::gist::n::o",
            "crate::lock::gist::p",
            "crate::q",
            "crate::r::s",
        ];
        assert_eq!(named(source, &module), expected);
    }
}
