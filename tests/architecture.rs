//! The order of the modules, in which an import never points upwards and no circle closes.
//!
//! An import is any path to another module of the crate, be it in a `use` or where a name is used.
//! A module that only declares or re-exports others imports nothing: what is imported through a
//! re-export counts as imported from where it stands. Unit tests (`#[cfg(test)]`) do not count.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The layers, the lowest first, each with its modules and what is below them.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["store"],
    &["clock", "config", "agent"],
    &["http::date", "http::error"],
    &["http::transport"],
    &["http::context"],
    &["http::openapi"],
    &["http::resources"],
    &["http"],
    &["cli"],
];

/// What a module imports: each module with the path that leads there.
type Imports = BTreeMap<String, String>;

#[test]
fn no_import_points_upwards() {
    let mut upwards = Vec::new();
    for (from, imports) in &imports() {
        for (to, path) in imports.iter().filter(|(to, _)| layer(to) > layer(from)) {
            upwards.push(format!("{from} imports {to} (`{path}`), which is above it"));
        }
    }
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}

#[test]
fn no_modules_import_each_other_in_circles() {
    let imports = imports();
    let mut circles = Vec::new();
    for circle in circles_of(&imports) {
        let inner = circle.iter().flat_map(|from| {
            let imports = imports[*from].iter().filter(|(to, _)| circle.contains(to.as_str()));
            imports.map(move |(to, path)| format!("  {from} imports {to} (`{path}`)"))
        });
        circles.push(format!("a circle:\n{}", inner.collect::<Vec<_>>().join("\n")));
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn imports_are_seen_wherever_they_stand() {
    let text = r#"
        //! crate::no
        mod inner;
        pub(in crate::no) mod other;
        pub use self::inner::{Again, deep::{self, Deeper as Other}};
        use crate::a::{B, c::*};
        #[cfg(test)]
        mod tests { use crate::no; }
        fn f() -> super::d::E { println!("{}", crate::f::g(inner::H), super::super::i()) }
    "#;
    let scanned = Source::parse(text);
    assert_eq!(scanned.children, ["inner", "other"]);
    let paths: Vec<String> = scanned.paths.iter().map(|path| path.join("::")).collect();
    let expected = [
        "crate::a::B",
        "crate::a::c::*",
        "super::d::E",
        "crate::f::g",
        "inner::H",
        "super::super::i",
    ];
    assert_eq!(paths, expected);
    let exported: Vec<&str> = scanned.exports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(exported, ["Again", "deep", "Other"]);
}

fn is_in(module: &str, parent: &str) -> bool {
    module.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn layer(module: &str) -> usize {
    let fits = |layer: &&[&str]| {
        layer.iter().filter(|&&top| is_in(module, top)).map(|top| top.len()).max()
    };
    let best = LAYERS.iter().enumerate().filter_map(|(i, layer)| Some((fits(layer)?, i))).max();
    best.unwrap_or_else(|| panic!("{module} is new: give it a layer")).1
}

/// What every module imports.
fn imports() -> BTreeMap<String, Imports> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    read(&root, "", &mut sources);
    let of = |(module, source): (&String, &Source)| {
        let imports = source.paths.iter().filter_map(|path| {
            let to = resolve(&sources, module, path)?;
            (to != *module && !to.is_empty()).then(|| (to, path.join("::")))
        });
        (module.clone(), imports.collect())
    };
    sources.iter().map(of).collect()
}

fn read(folder: &Path, parent: &str, sources: &mut BTreeMap<String, Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner = if parent.is_empty() { name.into() } else { format!("{parent}::{name}") };
        let module = match name {
            "mod" => parent.into(),
            "lib" if parent.is_empty() => String::new(),
            "main" if parent.is_empty() => continue,
            _ => inner,
        };
        if path.is_dir() {
            read(&path, &module, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            sources.insert(module, Source::parse(&text));
        }
    }
}

/// The module in which what a path names stands, if it is of this crate.
fn resolve(sources: &BTreeMap<String, Source>, module: &str, path: &[String]) -> Option<String> {
    let source = sources.get(module)?;
    let parent =
        |module: &str| module.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned();
    let mut rest = path;
    let mut at = match path.first()?.as_str() {
        "crate" => String::new(),
        "self" => module.into(),
        "super" => parent(module),
        child if source.children.iter().any(|known| known == child) => module.into(),
        _ => return None,
    };
    if matches!(rest[0].as_str(), "crate" | "self" | "super") {
        rest = &rest[1..];
    }
    while let [first, others @ ..] = rest {
        let inner = if at.is_empty() { first.clone() } else { format!("{at}::{first}") };
        if first == "super" {
            at = parent(&at);
        } else if sources.contains_key(&inner) {
            at = inner;
        } else {
            let exports = &sources[&at].exports;
            let Some((_, target)) = exports.iter().find(|(name, _)| name == first) else { break };
            let target: Vec<String> = target.iter().chain(others).cloned().collect();
            return resolve(sources, &at, &target);
        }
        rest = others;
    }
    Some(at)
}

/// What a file says of modules.
#[derive(Default)]
struct Source {
    children: Vec<String>,
    /// What it uses, as it is written.
    paths: Vec<Vec<String>>,
    /// What it re-exports: the name and the path.
    exports: Vec<(String, Vec<String>)>,
}

impl Source {
    fn parse(text: &str) -> Self {
        let tokens: Vec<TokenTree> = text.parse::<TokenStream>().unwrap().into_iter().collect();
        let mut source = Self::default();
        let modules = tokens.windows(3).filter(|three| is(&three[0], "mod") && is(&three[2], ";"));
        source.children = modules.map(|three| three[1].to_string()).collect();
        source.scan(&tokens);
        source
    }

    fn scan(&mut self, tokens: &[TokenTree]) {
        let mut i = 0;
        let mut exported = false;
        while let Some(token) = tokens.get(i) {
            let next = tokens.get(i + 1);
            let is_test = is(token, "#") && next.is_some_and(|next| is(next, "[cfg (test)]"));
            if is_test {
                // The item ends with a block or a semicolon.
                let ends = |token: &TokenTree| match token {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    token => is(token, ";"),
                };
                i += tokens[i..].iter().position(ends).unwrap_or(tokens.len());
            } else if is(token, "pub") {
                let scope = matches!(next, Some(TokenTree::Group(_)));
                i += usize::from(scope);
                exported = tokens.get(i + 1).is_some_and(|next| is(next, "use"));
            } else if is(token, "use") {
                let end = tokens[i..].iter().position(|token| is(token, ";"));
                let end = end.map_or(tokens.len(), |end| i + end);
                let mut found = Vec::new();
                use_tree(&[], &tokens[i + 1..end], &mut found);
                let named = found.into_iter().filter(|(path, _)| self.is_inner(&path[0]));
                if exported {
                    let exports = named.map(|(path, name)| (name, path)).collect::<Vec<_>>();
                    self.exports.extend(exports);
                } else {
                    let paths = named.map(|(path, _)| path).collect::<Vec<_>>();
                    self.paths.extend(paths);
                }
                exported = false;
                i = end;
            } else if let TokenTree::Ident(first) = token {
                let mut path = vec![first.to_string()];
                let mut end = i + 1;
                while let [a, b, TokenTree::Ident(name), ..] = &tokens[end..]
                    && is(a, ":")
                    && is(b, ":")
                {
                    path.push(name.to_string());
                    end += 3;
                }
                let continues = i > 1 && is(&tokens[i - 1], ":") && is(&tokens[i - 2], ":");
                if path.len() > 1 && !continues && self.is_inner(&path[0]) {
                    self.paths.push(path);
                }
                i = end - 1;
            } else if let TokenTree::Group(group) = token {
                self.scan(&group.stream().into_iter().collect::<Vec<_>>());
            }
            i += 1;
        }
    }

    /// Whether a path that begins so leads to a module of this crate.
    fn is_inner(&self, first: &str) -> bool {
        matches!(first, "crate" | "self" | "super")
            || self.children.iter().any(|child| child == first)
    }
}

/// The paths of a `use`, each with the name that it gives.
fn use_tree(prefix: &[String], tokens: &[TokenTree], found: &mut Vec<(Vec<String>, String)>) {
    for tree in tokens.split(|token| is(token, ",")) {
        let mut path = prefix.to_vec();
        let mut alias = None;
        let mut tokens = tree.iter();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => {
                    use_tree(&path, &group.stream().into_iter().collect::<Vec<_>>(), found);
                    path.clear();
                }
                TokenTree::Ident(name) if name == "as" => alias = tokens.next(),
                TokenTree::Ident(name) if name == "self" && !path.is_empty() => {}
                TokenTree::Ident(name) => path.push(name.to_string()),
                token if is(token, "*") => path.push("*".into()),
                _ => {}
            }
        }
        if let Some(last) = path.last() {
            let name = alias.map_or_else(|| last.clone(), ToString::to_string);
            found.push((path, name));
        }
    }
}

fn is(token: &TokenTree, text: &str) -> bool {
    token.to_string() == text
}

/// The modules that import each other, each with all of its circle.
fn circles_of(imports: &BTreeMap<String, Imports>) -> BTreeSet<BTreeSet<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|module| (module.as_str(), reached_from(imports, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, to) in &reached {
        if to.contains(module) {
            let comes_back = |other: &&&str| reached[**other].contains(module);
            circles.insert(to.iter().filter(comes_back).copied().collect());
        }
    }
    circles
}

fn reached_from<'a>(imports: &'a BTreeMap<String, Imports>, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![from];
    while let Some(module) = open.pop() {
        open.extend(imports[module].keys().map(String::as_str).filter(|to| reached.insert(*to)));
    }
    reached
}
