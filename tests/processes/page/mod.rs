//! The page in a real browser: with and without its script, in light and dark, on a phone, with names
//! that nobody would choose, and when the elector is gone.

mod chromium;
mod looks;
mod picture;
mod refreshed;
