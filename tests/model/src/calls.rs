//! Calls of the processes of a lock's model.

/// Calls that a process may make.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    pub reads: u8,
    pub writes: u8,
    pub annotations: u8,
    /// It has read the record before the start.
    pub warm: bool,
}

/// A violation.
pub type Flaw = &'static str;

/// Returns the calls of a process that has read the record before the start.
pub fn warm(reads: u8, writes: u8) -> Calls {
    Calls {
        reads,
        writes,
        annotations: 0,
        warm: true,
    }
}

/// Returns the calls of a process that knows nothing at the start.
pub fn cold(reads: u8, writes: u8) -> Calls {
    Calls {
        reads,
        writes,
        annotations: 0,
        warm: false,
    }
}

/// Returns the calls of a process that annotates the record.
pub fn annotator(reads: u8, annotations: u8) -> Calls {
    Calls {
        annotations,
        ..warm(reads, 0)
    }
}
