//! Credentials of AWS, in the order and by the variables of AWS's own tools.
//!
//! ```text
//!   chain: the source that the variables name ──▶ fetch: keys that expire ──▶ sign: each request
//! ```
//!
//! Order and variables: <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>.

pub mod chain;
pub mod credentials;
pub mod fetch;
pub mod keys;
pub mod sign;
