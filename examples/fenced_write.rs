//! Fencing: a resource that remembers the highest fencing token refuses the late write of a leader that
//! was paused for longer than its lease.
//!
//! `cargo run --example fenced_write`

/// Resource that all leaders write to, such as a row of a database. In SQL:
/// `UPDATE r SET value = ?, token = ? WHERE token <= ?`.
#[derive(Default)]
struct Resource {
    value: String,
    highest_token: u64,
}

/// The write came from the leader of an earlier term.
#[derive(Debug, PartialEq)]
struct Stale {
    token: u64,
    highest_token: u64,
}

impl Resource {
    /// Writes `value`, unless a leader with a higher fencing token has written before.
    fn write(&mut self, value: &str, fencing_token: u64) -> Result<(), Stale> {
        if fencing_token < self.highest_token {
            return Err(Stale {
                token: fencing_token,
                highest_token: self.highest_token,
            });
        }
        self.highest_token = fencing_token;
        self.value = value.to_owned();
        Ok(())
    }
}

fn main() {
    let mut resource = Resource::default();
    // In a program, the tokens are those of `Term::fencing_token`.
    let (napoleon, cleopatra) = (7, 8);
    resource.write("napoleon's", napoleon).expect("accepted");
    // napoleon is paused. Its lease expires, and cleopatra leads.
    resource.write("cleopatra's", cleopatra).expect("accepted");
    // napoleon resumes in the middle of a write.
    let late = resource.write("napoleon's again", napoleon);
    println!("{late:?}; the value is still {:?}", resource.value);
    assert!(late.is_err() && resource.value == "cleopatra's");
}
