//! How tables, LDK's namespaces, and the store's own rows share one ordered map.

/// The store's own numbers.
pub(in crate::storage) const META: u8 = b'm';
/// Chunks of long values.
pub(in crate::storage) const CHUNK: u8 = b'c';
/// LDK's keys.
pub(in crate::storage) const KV: u8 = b'k';
/// Tables of records.
pub(in crate::storage) const TABLE: u8 = b't';
/// Logs: numbers that lead to ids or entries.
pub(in crate::storage) const LOG: u8 = b'l';

/// Ends a name; names are ASCII without it.
const END: u8 = 0;

/// The key of one of the store's own numbers.
pub(in crate::storage) fn meta(name: &str) -> Vec<u8> {
    [&[META], name.as_bytes()].concat()
}

/// The prefix of a table's rows.
pub(in crate::storage) fn table(name: &str) -> Vec<u8> {
    [&[TABLE], name.as_bytes(), &[END]].concat()
}

/// The prefix of a log's rows, or of the index of a history.
pub(in crate::storage) fn index(name: &str) -> Vec<u8> {
    [&[LOG], name.as_bytes(), &[END]].concat()
}

/// The prefix of the keys in one of LDK's namespaces.
pub(in crate::storage) fn namespace(primary: &str, secondary: &str) -> Vec<u8> {
    [&[KV], primary.as_bytes(), &[END], secondary.as_bytes(), &[END]].concat()
}

/// The key of a chunk; the length of the whole key comes first, so that no key is another's prefix.
pub(in crate::storage) fn chunk(key: &[u8], index: u32) -> Vec<u8> {
    [&chunks_of(key)[..], &index.to_be_bytes()].concat()
}

/// The prefix of all chunks of a value.
pub(in crate::storage) fn chunks_of(key: &[u8]) -> Vec<u8> {
    let length = u16::try_from(key.len()).expect("keys are shorter than 1 KiB");
    [&[CHUNK], &length.to_be_bytes()[..], key].concat()
}

/// The key whose value a chunk is part of, and the chunk's index.
pub(in crate::storage) fn parse_chunk(chunk: &[u8]) -> Option<(&[u8], u32)> {
    let (&[_, high, low], rest) = chunk.split_first_chunk::<3>()?;
    let (key, index) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
    Some((key, u32::from_be_bytes(index.try_into().ok()?)))
}

/// The namespaces and the key of one of LDK's values.
pub(in crate::storage) fn parse_namespaced(key: &[u8]) -> Option<(&str, &str, &str)> {
    let text = std::str::from_utf8(key.strip_prefix(&[KV])?).ok()?;
    let (primary, rest) = text.split_once(char::from(END))?;
    let (secondary, key) = rest.split_once(char::from(END))?;
    Some((primary, secondary, key))
}

/// The name of the table or log that a row is of, and the rest of its key.
pub(in crate::storage) fn parse_table(key: &[u8]) -> Option<(&str, &[u8])> {
    let end = key.iter().position(|byte| *byte == END)?;
    let name = std::str::from_utf8(key.get(1..end)?).ok()?;
    Some((name, &key[end + 1..]))
}

/// The prefix of the table whose records an index row leads to.
pub(in crate::storage) fn table_of_index(index: &[u8]) -> Option<Vec<u8>> {
    parse_table(index).map(|(name, _)| table(name))
}

/// Names what a row belongs to: its table, its log, or its primary namespace.
pub(in crate::storage) fn family(key: &[u8]) -> String {
    let name = || parse_table(key).map_or_else(|| "?".to_owned(), |(name, _)| name.to_owned());
    match key.first() {
        Some(&META) => "the store's own".to_owned(),
        Some(&LOG) => format!("the index of {}", name()),
        Some(&KV) if key.get(1) == Some(&END) => "ldk".to_owned(),
        _ => name(),
    }
}

/// Names a key for people: its table or namespaces, then the rest.
pub(in crate::storage) fn place(key: &[u8]) -> String {
    let Some((class, rest)) = key.split_first() else { return "the empty key".to_owned() };
    match *class {
        CHUNK => match parse_chunk(key) {
            Some((key, index)) => format!("chunk {index} of {}", place(key)),
            None => format!("chunk {}", readable(rest)),
        },
        META => format!("meta/{}", readable(rest)),
        TABLE => parts(rest, 2),
        LOG => format!("the index of {}", parts(rest, 2)),
        KV => parts(rest, 3),
        _ => readable(key),
    }
}

fn parts(key: &[u8], count: usize) -> String {
    key.splitn(count, |byte| *byte == END).map(readable).collect::<Vec<_>>().join("/")
}

fn readable(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| byte.is_ascii_graphic()) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_name_their_key() {
        assert_eq!(parse_chunk(&chunk(b"kab", 7)), Some((&b"kab"[..], 7)));
        assert_eq!(parse_chunk(b"c\0"), None);
        assert_eq!(parse_chunk(b"c\0\x09ab"), None);
    }

    #[test]
    fn places_are_for_people() {
        for (key, expected) in [
            ([&namespace("", "")[..], b"manager"].concat(), "//manager"),
            ([&namespace("monitors", "")[..], b"ab_0"].concat(), "monitors//ab_0"),
            ([&table("payments")[..], &[1, 0, 0xff]].concat(), "payments/0100ff"),
            (meta("schema"), "meta/schema"),
            (chunk(&meta("schema"), 2), "chunk 2 of meta/schema"),
        ] {
            assert_eq!(place(&key), expected);
        }
    }
}
