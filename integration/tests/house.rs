//! The walls of the house: who may name what, who may see whom, and how large a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[path = "house/fields.rs"]
mod fields;
#[path = "house/imports.rs"]
mod imports;
#[path = "house/protos.rs"]
mod protos;
use fields::fields;
use imports::File;
use protos::{methods, methods_in, protos, snake};

/// Files that may be longer than the ceiling, each with its reason.
const LONG_FOR_A_REASON: [(&str, &str); 0] = [];
const CEILING: usize = 500;
const TEST_CEILING: usize = 600;
/// Files that a folder may hold side by side; more want an inner room.
const FOLDER_CEILING: usize = 18;

/// The inner rooms of rooms, top to bottom: a file of one imports only from those below it.
const INNER: [(&str, &[&str]); 9] = [
    ("node", &["run", "commit", "gossip", "config", "planner", "address", "ldk"]),
    (
        "node/commit",
        &[
            "checkpoint",
            "types",
            "held_messages",
            "deferred_persister",
            "held_broadcaster",
            "buckets",
            "rebroadcast",
            "gate",
        ],
    ),
    ("node/gossip", &["resolve", "spent", "order", "survey", "ask", "first_update", "answer"]),
    (
        "node/planner",
        &[
            "router",
            "in_flight",
            "share",
            "plan",
            "view",
            "route",
            "query",
            "constraints",
            "beliefs",
            "no_route",
            "stored",
        ],
    ),
    (
        "storage",
        &[
            "jobs", "offline", "table", "ldk", "store", "open", "care", "commit", "rows", "engine",
            "config", "error",
        ],
    ),
    (
        "storage/engine",
        &[
            "wal", "sled", "overlay", "progress", "page", "piece", "memory", "writes", "backend",
            "lock", "private", "id", "patience", "disk",
        ],
    ),
    ("storage/engine/wal", &["logged", "checkpointer", "swap", "log", "frame"]),
    ("payments", &["send", "probe", "route", "sendable", "check", "records", "config"]),
    (
        "wallet",
        &[
            "send", "funding", "sync", "history", "ldk", "ledger", "coins", "persist", "seed",
            "error",
        ],
    ),
];

/// Phrases that hide who does what, or that a native engineer of this field would not write.
const UNCLEAR: [&str; 16] = [
    "whoever",
    "whomever",
    "told of",
    "tells of",
    "told that",
    "what is said",
    "what there is of",
    "brought in step",
    "one of the two",
    "written anew",
    "for ever ",
    "is told",
    "are told",
    "told with",
    "told again",
    "to be told",
];

/// Words that only one place may use.
const NAMED_ONLY_IN: [(&str, &[&str]); 12] = [
    ("sled", &["daemon/src/storage/"]),
    ("bitcoincore_rpc", &["daemon/src/chain/bitcoind/", "integration/"]),
    ("bdk_wallet", &["daemon/src/wallet/"]),
    ("tonic", &["daemon/src/api/", "proto/", "cli/", "integration/"]),
    ("fulmen_proto", &["daemon/src/api/", "daemon/benches/", "cli/", "integration/"]),
    ("fulmen_lnd_proto", &["daemon/src/api/", "integration/"]),
    ("hyper", &["daemon/src/metrics/"]),
    ("prometheus", &["daemon/src/metrics/"]),
    ("tokio::spawn", &["daemon/src/tasks.rs"]),
    ("thread::spawn", &["daemon/src/tasks.rs"]),
    ("process::exit", &["daemon/src/main.rs", "cli/src/main.rs"]),
    ("chainmonitor::ChainMonitor<", &["daemon/src/node/commit/types.rs"]),
];

/// The rooms of `daemon/src`, top to bottom; a line is a storey, whose rooms do not see each other.
const STOREYS: [&[&str]; 29] = [
    &["main"],
    &["daemon"],
    &["offline"],
    &["config"],
    &["collectors"],
    &["api"],
    &["events"],
    &["usecases"],
    &["backup"],
    &["peers", "channels", "invoices", "offers", "payments", "forwards"],
    &["parts"],
    &["idempotency", "bolt11"],
    &["node"],
    &["admission"],
    &["wallet"],
    &["feerates"],
    &["chain"],
    &["access"],
    &["journal"],
    &["metrics"],
    &["storage"],
    &["log"],
    &["ports"],
    &["descriptors"],
    &["private_file"],
    &["warnings"],
    &["clock"],
    &["listing", "amounts"],
    &["tasks"],
];

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "begin these with a `//!` sentence: {silent:#?}");
}

#[test]
fn every_file_fits_in_the_head() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|source| {
            let is_test = source.path.contains("/tests/");
            let ceiling = if is_test { TEST_CEILING } else { CEILING };
            source.text.lines().count() > ceiling
                && !LONG_FOR_A_REASON.iter().any(|(path, _)| *path == source.path)
        })
        .map(|source| source.path)
        .collect();
    assert!(long.is_empty(), "split these, or give a reason in LONG_FOR_A_REASON: {long:#?}");
    let main = sources().into_iter().find(|source| source.path == "daemon/src/main.rs");
    assert!(main.expect("there is a main").text.lines().count() <= 80, "main.rs has over 80 lines");
}

#[test]
fn only_one_room_names_each_neighbour() {
    let mut strays = Vec::new();
    for source in sources().iter().filter(|source| !source.path.ends_with("tests/house.rs")) {
        for (word, places) in NAMED_ONLY_IN {
            let allowed = places.iter().any(|place| source.path.starts_with(place));
            if !allowed && source.code().any(|line| names(line, word)) {
                strays.push(format!("{} names {word}", source.path));
            }
        }
    }
    assert!(strays.is_empty(), "{strays:#?}");
}

#[test]
fn rooms_import_only_rooms_below() {
    let mut climbs = Vec::new();
    for file in files("daemon") {
        let Some(room) = room_of(&file.path).filter(|room| room != "lib") else { continue };
        let storey = storey(&room).unwrap_or_else(|| panic!("{room} is not in STOREYS"));
        for path in file.paths() {
            let Some(other) = path.first().filter(|other| **other != room) else { continue };
            if self::storey(other).is_some_and(|other_storey| other_storey <= storey) {
                climbs.push(format!("{}: {room} names {}", file.path, path.join("::")));
            }
        }
    }
    assert!(climbs.is_empty(), "{climbs:#?}");
}

#[test]
fn inner_rooms_import_only_inner_rooms_below() {
    let mut climbs = Vec::new();
    let files = files("daemon");
    let graph = imports::graph(&files);
    for (room, inner_rooms) in INNER {
        let folder = format!("daemon/src/{room}/");
        let rank = |path: &str| {
            let inside = path.strip_prefix(&folder)?.split('/').next()?.trim_end_matches(".rs");
            inner_rooms.iter().position(|inner| *inner == inside)
        };
        for inner in inner_rooms {
            let exists = graph.keys().any(|path| {
                path.strip_prefix(&folder).is_some_and(|inside| inside.starts_with(inner))
            });
            assert!(exists, "{room} has no inner room {inner}");
        }
        for (path, imported) in &graph {
            let Some(own) = rank(path) else { continue };
            climbs.extend(
                imported
                    .iter()
                    .filter(|other| rank(other).is_some_and(|other| other < own))
                    .map(|other| format!("{path} imports {other}")),
            );
        }
    }
    assert!(climbs.is_empty(), "{climbs:#?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for part in ["cli", "daemon", "integration", "proto", "routing"] {
        let circles = imports::circles(&imports::graph(&files(part)));
        assert!(circles.is_empty(), "{} circles in {part}: {circles:#?}", circles.len());
    }
}

#[test]
fn no_folder_is_crowded() {
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.path.contains("/tests/")) {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *folders.entry(folder.to_owned()).or_default() += 1;
    }
    folders.retain(|_, files| *files > FOLDER_CEILING);
    assert!(folders.is_empty(), "more than {FOLDER_CEILING} files side by side: {folders:#?}");
}

#[test]
fn comments_and_messages_name_their_subject() {
    let mut unclear = Vec::new();
    for source in sources().iter().filter(|source| !source.path.ends_with("tests/house.rs")) {
        for (number, line) in source.text.lines().enumerate() {
            let line = line.to_lowercase();
            for phrase in UNCLEAR.iter().filter(|phrase| line.contains(**phrase)) {
                unclear.push(format!("{}:{}: {phrase}", source.path, number + 1));
            }
        }
    }
    assert!(unclear.is_empty(), "{} places: {unclear:#?}", unclear.len());
}

#[test]
fn crates_depend_only_on_what_they_may() {
    let forbidden: [(&str, &[&str]); 5] = [
        ("routing", &["tokio", "bitcoin", "sled", "tonic", "rand", "getrandom", "fulmen-proto"]),
        ("proto", &["lightning", "sled", "clap", "fulmen-daemon"]),
        ("cli", &["lightning", "bitcoincore-rpc", "sled", "fulmen-daemon", "fulmen-routing"]),
        ("daemon", &["fulmen-cli", "fulmen-integration"]),
        ("integration", &["fulmen-daemon", "fulmen-routing", "lightning", "sled"]),
    ];
    for (name, banned) in forbidden {
        let manifest =
            std::fs::read_to_string(root().join(name).join("Cargo.toml")).expect("manifest");
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in dependencies.lines() {
            let dependency = line.split(['.', '=', ' ']).next().unwrap_or_default();
            assert!(!banned.contains(&dependency), "{name} may not depend on {dependency}");
        }
    }
}

#[test]
fn every_method_has_a_permission_and_a_scenario() {
    let permissions = text_under("daemon/src/access");
    let scenarios = text_under("integration/src") + &text_under("integration/tests");
    let scenarios: String = scenarios.split_whitespace().collect();
    let mut missing = Vec::new();
    for (service, method) in methods() {
        if !permissions.contains(&format!("fulmen.v1.{service}/{method}")) {
            missing.push(format!("{service}.{method}: no permission"));
        }
        // A scenario calls `node.payments().list(…)`, or `payments.list(…)` on a client that it keeps.
        let (client, call) = (snake(&service), snake(&method));
        let called = [format!("{client}().{call}("), format!("{client}.{call}(")];
        if !called.iter().any(|call| scenarios.contains(call)) {
            missing.push(format!("{service}.{method}: no black-box scenario calls it"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_field_of_the_api_is_read_or_written() {
    let services: Vec<String> = sources_under("daemon/src/api");
    let mut unused = Vec::new();
    let mut count = 0;
    for proto in protos() {
        for field in fields(&proto) {
            count += 1;
            let word = field.word();
            let is_used = services
                .iter()
                .any(|code| has_word(code, &field.message) && has_word(code, &word))
                // The variant of a `oneof` may stand in a file that names only the `oneof`.
                || word != field.name && services.iter().any(|code| has_word(code, &word));
            if !is_used {
                unused.push(format!("{}.{}", field.message, field.name));
            }
        }
    }
    assert!(count > 500, "{count} fields");
    assert!(unused.is_empty(), "no file that names the message names the field: {unused:#?}");
}

#[test]
fn every_option_is_read() {
    let sample = std::fs::read_to_string(root().join("daemon/fulmen.sample.toml")).expect("sample");
    let code = sources_under("daemon/src").concat();
    let options: BTreeSet<&str> = sample
        .lines()
        .map(|line| line.trim_start_matches(['#', ' ']))
        .filter_map(|line| line.split_once(" = "))
        .map(|(option, _)| option)
        .filter(|option| {
            option.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .filter(|option| *option != "network")
        .collect();
    assert!(options.len() > 80, "{} options", options.len());
    let unread: Vec<_> =
        options.into_iter().filter(|option| !has_word(&code, &format!(".{option}"))).collect();
    assert!(unread.is_empty(), "no code reads these options: {unread:#?}");
}

#[test]
fn no_dependency_wants_a_newer_compiler_than_we_declare() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = std::process::Command::new(cargo)
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata = String::from_utf8_lossy(&metadata.stdout);
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let ours = manifest.split("rust-version = \"").nth(1).expect("declared").split('"').next();
    let ours = release(ours.expect("a release"));
    let wanted: Vec<_> = metadata
        .split("\"rust_version\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(wanted.len() > 50, "{} dependencies declare one", wanted.len());
    let newer: Vec<_> = wanted.into_iter().filter(|wanted| release(wanted) > ours).collect();
    assert!(newer.is_empty(), "dependencies want {newer:?}, we declare {ours:?}");
}

#[test]
fn the_architecture_page_names_tests_that_exist() {
    let page = std::fs::read_to_string(root().join("daemon/README.md")).expect("daemon/README.md");
    let tests = text_under("daemon") + &text_under("integration");
    let table = page.split("## The money's invariants").nth(1).expect("the invariants");
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "{} invariants", rows.len());
    for row in rows {
        let guards = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let names = guards.split('`').skip(1).step_by(2);
        let functions =
            names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        for name in functions {
            let defined = [format!("fn {name}("), format!("scenario!({name}")];
            assert!(defined.iter().any(|it| tests.contains(it)), "no test {name}: {row}");
        }
    }
}

#[test]
fn every_method_of_lnds_api_has_a_scenario_or_is_listed_as_not_served() {
    let permissions = text_under("daemon/src/access");
    let scenarios: String = text_under("integration/tests").split_whitespace().collect();
    let readme = std::fs::read_to_string(root().join("proto/lnd/README.md")).expect("a page");
    let unserved = readme.split("<!-- not served -->").nth(1).expect("a list between two marks");
    let mut wrong = Vec::new();
    for folder in std::fs::read_dir(root().join("proto/lnd")).expect("the packages") {
        let folder = folder.expect("an entry").path();
        let Some(package) = folder.file_name().filter(|name| *name != "src") else { continue };
        if !folder.is_dir() {
            continue;
        }
        let package = package.to_string_lossy();
        for (service, method) in methods_in(&folder) {
            let whole = format!("{package}.{service}");
            let listed = unserved
                .lines()
                .find(|line| line.starts_with(&format!("- `{whole}`")))
                .is_some_and(|line| line.contains(&format!("`{method}`")));
            let served = permissions.contains(&format!("\"/{whole}/{method}\""));
            let call = format!("{}().{}(", snake(&service), snake(&method));
            if served == listed {
                wrong.push(format!("{whole}/{method}: served {served}, listed {listed}"));
            } else if served && !scenarios.contains(&call) {
                wrong.push(format!("{whole}/{method}: no black-box scenario calls it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_draws_the_rooms_that_there_are() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let drawn: BTreeSet<String> = readme
        .split("<!-- rooms -->")
        .nth(1)
        .expect("the drawing stands between two `<!-- rooms -->` marks")
        .lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split("  ").next().unwrap_or_default().split_whitespace())
        .map(|word| word.trim_end_matches('/').trim_end_matches(".rs").to_owned())
        .filter(|word| !word.starts_with('-') && !word.is_empty())
        .collect();
    let there: BTreeSet<String> = std::fs::read_dir(root().join("daemon/src"))
        .expect("daemon/src")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .filter(|name| name != "lib")
        .collect();
    assert_eq!(drawn, there);
    let storeys: BTreeSet<String> =
        STOREYS.iter().flat_map(|storey| storey.iter().map(|room| (*room).to_owned())).collect();
    assert_eq!(storeys, there);
}

#[test]
fn the_architecture_page_draws_the_rooms_that_there_are() {
    let page = std::fs::read_to_string(root().join("daemon/README.md")).expect("daemon/README.md");
    let map = page.split("```\n").nth(1).expect("the map");
    let drawn: BTreeSet<&str> = map
        .lines()
        .flat_map(|line| line.split("  ").next().unwrap_or_default().split(' '))
        .map(|word| word.trim_end_matches('/').trim_end_matches(".rs"))
        .filter(|word| !word.starts_with('-') && !word.is_empty())
        .collect();
    let rooms: BTreeSet<&str> = STOREYS.iter().flat_map(|storey| storey.iter().copied()).collect();
    assert_eq!(drawn, rooms);
}

#[test]
fn the_architecture_page_names_files_that_exist() {
    let page = std::fs::read_to_string(root().join("daemon/README.md")).expect("daemon/README.md");
    let crates = ["daemon/", "proto/", "cli/", "routing/", "integration/"];
    let missing: Vec<_> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| !name.contains([' ', ':', '<']) && !name.starts_with(['/', '~', '#']))
        .filter(|name| name.ends_with(".rs") || name.ends_with('/'))
        .filter(|name| {
            let is_whole = crates.iter().any(|part| name.starts_with(part));
            let folder = if is_whole { root() } else { root().join("daemon/src") };
            !folder.join(name).exists()
        })
        .collect();
    assert!(missing.is_empty(), "daemon/README.md names what is not there: {missing:#?}");
}

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines that are not comments.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for part in ["cli", "daemon", "integration", "proto", "routing"] {
        collect(&root().join(part), &mut sources);
    }
    assert!(sources.len() > 20, "the house has more than {} files", sources.len());
    sources
}

fn collect(folder: &Path, into: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("entry").path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let path = path.strip_prefix(root()).expect("below the root");
            into.push(Source { path: path.to_string_lossy().into_owned(), text });
        }
    }
}

/// The files of a crate's sources, as nodes of the graph of imports.
fn files(part: &str) -> Vec<File> {
    let root = format!("{part}/src/");
    sources()
        .iter()
        .filter(|source| source.path.starts_with(&root) && !source.path.contains("tests"))
        .map(|source| File::new(&root, &source.path, &source.text))
        .collect()
}

fn text_under(folder: &str) -> String {
    let mut sources = Vec::new();
    collect(&root().join(folder), &mut sources);
    sources
        .into_iter()
        .filter(|source| !source.path.ends_with("tests/house.rs"))
        .map(|source| source.text)
        .collect()
}

/// The code of each file below a folder, without comments and literals.
fn sources_under(folder: &str) -> Vec<String> {
    let mut sources = Vec::new();
    collect(&root().join(folder), &mut sources);
    sources.iter().map(|source| imports::code_of(&source.text)).collect()
}

fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !is_part(after) && (word.starts_with('.') || !is_part(before))
    })
}

/// `1.91` and `1.91.0` as numbers that can be compared.
fn release(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().expect("a number"));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// Whether `line` uses `word` as a whole path or crate name.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let whole = !before.is_some_and(|c| is_part(c) || c == '"' || c == '`')
            && (word.ends_with('<') || !after.is_some_and(is_part));
        whole && (word.contains("::") || line[at + word.len()..].starts_with("::"))
    })
}

fn room_of(path: &str) -> Option<String> {
    let inside = path.strip_prefix("daemon/src/")?;
    Some(inside.split(['/', '.']).next()?.to_owned())
}

fn storey(room: &str) -> Option<usize> {
    STOREYS.iter().position(|rooms| rooms.contains(&room))
}
