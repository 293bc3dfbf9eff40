//! Entry points of the fuzz targets: the checks of `tests/library/properties`, which `make test`
//! runs too.

#[path = "../../tests/library/properties/checks/mod.rs"]
pub mod checks;
