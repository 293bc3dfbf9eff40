//! `STATE_DIR` with real processes: a restarted candidate resumes if nothing of its predecessor runs, and
//! waits like any other candidate if that is not known.

mod beside;
mod container;
mod files;
mod lives;
mod places;
mod sharing;
mod stage;
mod stepped_down;
mod wrapped;
