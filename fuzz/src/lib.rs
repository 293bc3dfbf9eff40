//! What the fuzz targets check: the same functions that `tests/properties` runs in `make test`.

#[path = "../../tests/properties/checks/mod.rs"]
pub mod checks;
