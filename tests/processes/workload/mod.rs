//! `elector run -- CMD` with real processes: the program runs while its elector leads and never
//! beside another one, whatever is done to the elector, to its guard and to the program.

mod endings;
mod guards;
mod health;
mod jobs;
mod scene;
mod signals;
