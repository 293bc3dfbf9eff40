//! A gist service that behaves like GitHub's.
