//! One file per subcommand of `elector`.

pub mod gist_server;
