//! Reads methods out of the `.proto` files.

use std::path::Path;

use super::root;

pub fn protos() -> Vec<String> {
    std::fs::read_dir(root().join("proto/fulmen/v1"))
        .expect("the proto files")
        .map(|entry| std::fs::read_to_string(entry.expect("entry").path()).expect("a proto file"))
        .collect()
}

/// All methods as (service, method), from the `.proto` files.
pub fn methods() -> Vec<(String, String)> {
    let methods = methods_in(&root().join("proto/fulmen/v1"));
    assert!(methods.len() > 30, "{} methods", methods.len());
    methods
}

/// The methods of the `.proto` files of a folder.
pub fn methods_in(folder: &Path) -> Vec<(String, String)> {
    let mut methods = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the proto files") {
        let text = std::fs::read_to_string(entry.expect("entry").path()).expect("a proto file");
        let mut service = String::new();
        for line in text.lines() {
            let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
            match (words.next(), words.next()) {
                (Some("service"), Some(name)) => service = name.to_owned(),
                (Some("rpc"), Some(name)) => methods.push((service.clone(), name.to_owned())),
                _ => (),
            }
        }
    }
    methods
}

pub fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}
