//! One of LDK's writes, held back until it is committed with others.

/// One of LDK's writes, for those who gather several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvWrite {
    /// The primary namespace.
    pub primary: String,
    /// The secondary namespace.
    pub secondary: String,
    /// The key.
    pub key: String,
    /// The new value; none to remove it.
    pub value: Option<Vec<u8>>,
}

impl KvWrite {
    /// Whether it is about this key.
    pub fn is(&self, primary: &str, secondary: &str, key: &str) -> bool {
        self.key == key && self.is_in(primary, secondary)
    }

    /// Whether it is in this namespace.
    pub fn is_in(&self, primary: &str, secondary: &str) -> bool {
        self.primary == primary && self.secondary == secondary
    }
}
