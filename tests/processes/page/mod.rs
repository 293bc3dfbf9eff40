//! The page in a real browser: with and without its script, in light and dark, on a phone, with hostile
//! names, and without its elector.

mod chromium;
mod layout;
mod picture;
mod states;
mod still;
mod updates;
