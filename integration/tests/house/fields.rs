//! The messages of the API with their fields, read from the text of the `.proto` files.

/// A field of a message: `oneof` fields appear in code as variants, the others by their own name.
#[derive(Debug)]
pub struct Field {
    /// The innermost message that declares it.
    pub message: String,
    /// As the `.proto` file spells it.
    pub name: String,
    is_variant: bool,
}

impl Field {
    /// The word by which Rust code names the field.
    pub fn word(&self) -> String {
        if !self.is_variant {
            return self.name.clone();
        }
        let capitalised = |word: &str| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        };
        self.name.split('_').map(capitalised).collect()
    }
}

/// All fields of the messages that `proto` declares.
pub fn fields(proto: &str) -> Vec<Field> {
    let code: String = proto.lines().filter_map(|line| line.split("//").next()).collect();
    let code = code.replace('{', " { ").replace('}', " } ").replace(';', " ; ");
    let words: Vec<&str> = code.split_whitespace().collect();
    let (mut open, mut fields) = (Vec::new(), Vec::new());
    for at in 0..words.len() {
        match words[at] {
            "{" if at >= 2 => open.push((words[at - 2], words[at - 1])),
            "}" => drop(open.pop()),
            "=" if words.get(at + 2) == Some(&";") => {
                let message = open.iter().rfind(|(kind, _)| *kind == "message");
                let innermost = open.last().map(|(kind, _)| *kind);
                if let (Some((_, message)), Some("message" | "oneof")) = (message, innermost) {
                    fields.push(Field {
                        message: (*message).to_owned(),
                        name: words[at - 1].to_owned(),
                        is_variant: innermost == Some("oneof"),
                    });
                }
            }
            _ => (),
        }
    }
    fields
}
