//! The patched LDK is what it says: the registry's crate with the patch applied, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bitcoincore_rpc::bitcoin::hashes::{Hash as _, sha256};

/// The files of a tree by their paths in it.
type Files = BTreeMap<String, Vec<u8>>;

#[test]
fn the_vendored_tree_has_the_recorded_sum() {
    let lines = files(&patches().join("lightning")).into_iter();
    let lines = lines.map(|(path, text)| format!("{}  ./{path}\n", sha256::Hash::hash(&text)));
    let sum = sha256::Hash::hash(lines.collect::<String>().as_bytes()).to_string();
    assert_eq!(sum, read("lightning.sha256").trim(), "`.patches/recreate` makes it again");
}

#[test]
fn the_vendored_tree_is_the_registry_with_the_patch() {
    let vendored = files(&patches().join("lightning"));
    let version = version(&vendored["Cargo.toml"]);
    let locked = std::fs::read_to_string(root().join("Cargo.lock")).expect("there is a lock file");
    let entry = format!("name = \"lightning\"\nversion = \"{version}\"\n");
    assert!(locked.contains(&entry), "Cargo.lock has another lightning than {version}");
    // Cargo does not fetch what is patched: a clean machine has only the sum to go by.
    let Some(registry) = registry_source(&format!("lightning-{version}")) else { return };
    let left_out = read("lightning.without");
    let mut expected = files(&registry);
    expected.retain(|path, _| !left_out.lines().any(|ending| path.ends_with(ending)));
    apply(&mut expected, &read("lightning.patch"));
    let differ: Vec<_> = expected
        .keys()
        .chain(vendored.keys())
        .filter(|path| expected.get(*path) != vendored.get(*path))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn a_hunk_that_does_not_fit_is_refused() {
    let patch = "--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n one\n+between\n two\n";
    let of = |text: &str| Files::from([("x".to_owned(), text.as_bytes().to_vec())]);
    let mut fits = of("one\ntwo\nthree\n");
    apply(&mut fits, patch);
    assert_eq!(fits, of("one\nbetween\ntwo\nthree\n"));
    let mut other = of("one\n2\n");
    assert!(std::panic::catch_unwind(move || apply(&mut other, patch)).is_err());
}

/// Applies a unified diff whose hunks fit exactly where they say.
fn apply(files: &mut Files, patch: &str) {
    for of_file in patch.split("--- a/").skip(1) {
        let mut lines = of_file.split_inclusive('\n').peekable();
        let path = lines.next().expect("a path follows").trim_end().to_owned();
        assert_eq!(lines.next(), Some(&*format!("+++ b/{path}\n")));
        let old = String::from_utf8(files[&path].clone()).expect("sources are text");
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let (mut new, mut taken) = (String::new(), 0);
        for line in lines {
            let (mark, text) = line.split_at(1);
            match mark {
                "@" => {
                    let from = text.split(['-', ',']).nth(1).expect("a hunk says where it begins");
                    let from: usize = from.parse().expect("a number of a line");
                    new.extend(old[taken..from - 1].iter().copied());
                    taken = from - 1;
                }
                "+" => new.push_str(text),
                " " | "-" => {
                    assert_eq!(old[taken], text, "{path}, line {}", taken + 1);
                    taken += 1;
                    if mark == " " {
                        new.push_str(text);
                    }
                }
                mark => panic!("a line of a patch begins with {mark:?}"),
            }
        }
        new.extend(old[taken..].iter().copied());
        files.insert(path, new.into_bytes());
    }
}

fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(&inner).expect("a folder") {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it is inside");
                let name = name.to_str().expect("names are text").to_owned();
                found.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

fn version(manifest: &[u8]) -> String {
    let manifest = std::str::from_utf8(manifest).expect("a manifest is text");
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    line.expect("a crate has a version").trim_matches('"').to_owned()
}

/// Where cargo has unpacked a crate of the registry, if it has.
fn registry_source(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    registries.flatten().map(|registry| registry.path().join(name)).find(|path| path.is_dir())
}

fn read(name: &str) -> String {
    std::fs::read_to_string(patches().join(name)).expect("a file of .patches")
}

fn patches() -> PathBuf {
    root().join(".patches")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
