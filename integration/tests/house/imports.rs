//! Which file imports which: paths read from the source text, resolved through modules and their re-exports.

use std::collections::{BTreeMap, BTreeSet};

/// A file of a crate: its path, and its text without comments, literals and trailing unit tests.
pub struct File {
    /// Relative to the workspace, with `/`.
    pub path: String,
    code: String,
    /// `["node", "run", "net"]` for `daemon/src/node/run/net.rs`.
    module: Vec<String>,
}

impl File {
    /// Reads `text` as the file at `path` below the sources of a crate at `root` (`daemon/src/`).
    pub fn new(root: &str, path: &str, text: &str) -> Self {
        let inside = path.strip_prefix(root).unwrap_or(path).trim_end_matches(".rs");
        let mut module: Vec<_> = inside.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            module.pop();
        }
        let code = code_of(text);
        let end = code.find("#[cfg(test)]\nmod ").unwrap_or(code.len());
        Self { path: path.to_owned(), code: code[..end].to_owned(), module }
    }

    /// The absolute module paths that the file names, such as `["storage", "Store"]`.
    pub fn paths(&self) -> BTreeSet<Vec<String>> {
        paths_in(&self.code)
            .into_iter()
            .filter_map(|(_, path)| absolute(&self.module, &path))
            .collect()
    }

    /// The paths that the file's `use` declarations name, with the name that each gets here.
    fn uses(&self, modules: &BTreeSet<Vec<String>>) -> Vec<(String, Vec<String>)> {
        paths_in(&self.code)
            .into_iter()
            .filter(|(is_use, _)| *is_use)
            .filter_map(|(_, path)| {
                let child = [self.module.as_slice(), &path[..1]].concat();
                let path = match absolute(&self.module, &path) {
                    Some(path) => path,
                    None if modules.contains(&child) => [self.module.as_slice(), &path].concat(),
                    None => return None,
                };
                Some((path.last()?.clone(), path))
            })
            .collect()
    }
}

/// For each file the files that it imports, but for a parent module's own items and for children.
///
/// A name that a `mod.rs` re-exports leads to the file that defines it.
pub fn graph(files: &[File]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeSet<_> = files.iter().map(|file| file.module.clone()).collect();
    let by_module: BTreeMap<_, _> = files.iter().map(|file| (file.module.clone(), file)).collect();
    let target = |path: &[String]| resolve(path, &by_module, &modules, 8);
    files
        .iter()
        .map(|file| {
            let imported = file
                .paths()
                .iter()
                .filter_map(|path| target(path))
                .filter(|other| {
                    !file.module.starts_with(&other.module)
                        && !other.module.starts_with(&file.module)
                })
                .map(|other| other.path.clone())
                .collect();
            (file.path.clone(), imported)
        })
        .collect()
}

/// The circles of a graph: each a set of files of which each reaches each.
pub fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let reachable: BTreeMap<_, _> = graph.keys().map(|from| (from, reach(graph, from))).collect();
    let mut circles = BTreeSet::new();
    for (from, reached) in &reachable {
        if reached.contains(*from) {
            let circle: BTreeSet<String> = reached
                .iter()
                .filter(|other| reachable.get(other).is_some_and(|back| back.contains(*from)))
                .cloned()
                .collect();
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reach(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(next) = open.pop() {
        for other in graph.get(&next).into_iter().flatten() {
            if reached.insert(other.clone()) {
                open.push(other.clone());
            }
        }
    }
    reached
}

fn resolve<'a>(
    path: &[String],
    by_module: &BTreeMap<Vec<String>, &'a File>,
    modules: &BTreeSet<Vec<String>>,
    depth: usize,
) -> Option<&'a File> {
    let length = (1..=path.len()).rev().find(|length| modules.contains(&path[..*length]))?;
    let file = *by_module.get(&path[..length])?;
    let (Some(name), true) = (path.get(length), depth > 0) else { return Some(file) };
    let defined = file.uses(modules).into_iter().find(|(known, _)| known == name);
    match defined {
        Some((_, path)) => resolve(&path, by_module, modules, depth - 1).or(Some(file)),
        None => Some(file),
    }
}

fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    match path[0].as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([module.get(..module.len() - supers)?, &path[supers..]].concat()),
        _ => None,
    }
}

/// All paths of `use` declarations (marked true), and those elsewhere that begin with `crate`, `self` or `super`.
fn paths_in(code: &str) -> Vec<(bool, Vec<String>)> {
    let tokens = tokens(code);
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = ["crate", "self", "super"].contains(&tokens[at]);
        let follows_path = at > 0 && tokens[at - 1] == "::";
        if tokens[at] == "use" {
            let mut found = Vec::new();
            at = tree(&tokens, at + 1, &[], &mut found);
            paths.extend(found.into_iter().map(|path| (true, path)));
        } else if starts && !follows_path && tokens.get(at + 1) == Some(&"::") {
            let mut found = Vec::new();
            at = tree(&tokens, at, &[], &mut found);
            paths.extend(found.into_iter().map(|path| (false, path)));
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads one path or brace tree from `at`; returns where it ends.
fn tree(tokens: &[&str], mut at: usize, before: &[String], into: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    if tokens.get(at) == Some(&"::") {
        at += 1;
    }
    while let Some(token) = tokens.get(at) {
        if *token == "{" {
            at += 1;
            while at < tokens.len() && tokens[at] != "}" {
                let next = tree(tokens, at, &path, into);
                at = next.max(at + 1);
                if tokens.get(at) == Some(&",") {
                    at += 1;
                }
            }
            return at + 1;
        }
        if is_word(token) && *token != "as" {
            path.push((*token).to_owned());
            at += 1;
        }
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
        if !tokens.get(at).is_some_and(|next| *next == "{" || is_word(next)) {
            break;
        }
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if !path.is_empty() {
        into.push(path);
    }
    if tokens.get(at) == Some(&"as") {
        at += 2;
    }
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    tokens
}

/// The text without comments, and with empty string and character literals.
pub fn code_of(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let next = bytes.get(at + 1).copied().unwrap_or(' ');
        match bytes[at] {
            '/' if next == '/' => {
                while at < bytes.len() && bytes[at] != '\n' {
                    at += 1;
                }
            }
            '/' if next == '*' => {
                at += 2;
                while at + 1 < bytes.len() && !(bytes[at] == '*' && bytes[at + 1] == '/') {
                    at += 1;
                }
                at += 2;
            }
            'r' if (next == '"' || next == '#') && !code.ends_with(is_part_of_word) => {
                let hashes = bytes[at + 1..].iter().take_while(|c| **c == '#').count();
                if bytes.get(at + 1 + hashes) == Some(&'"') {
                    let end: Vec<char> =
                        std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                    at += 2 + hashes;
                    while at < bytes.len() && !bytes[at..].starts_with(&end) {
                        at += 1;
                    }
                    at += end.len();
                    code.push_str("\"\"");
                } else {
                    code.push('r');
                    at += 1;
                }
            }
            '"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != '"' {
                    at += if bytes[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
                code.push_str("\"\"");
            }
            '\'' if next == '\\' || bytes.get(at + 2) == Some(&'\'') => {
                at += if next == '\\' { 3 } else { 2 };
                while at < bytes.len() && bytes[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            other => {
                code.push(other);
                at += 1;
            }
        }
    }
    code
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
