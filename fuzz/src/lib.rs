//! What the fuzz targets check: the same functions that `tests/library/properties` runs in `make test`.

#[path = "../../tests/library/properties/checks/mod.rs"]
pub mod checks;
