//! Keys with which requests are signed.

use std::fmt;

/// Keys with which requests are signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Name of the secret key, which is no secret.
    pub id: String,
    /// Secret key.
    pub secret: String,
    /// Session token; empty for keys that do not expire.
    pub session: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}
