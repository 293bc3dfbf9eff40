//! Random numbers from the kernel.

use std::fs::File;
use std::io::{self, Read};

/// Returns a name that no other process has: 32 hexadecimal digits.
///
/// # Errors
/// Returns an error if `/dev/urandom` cannot be read.
pub fn process_name() -> io::Result<String> {
    let random: [u8; 16] = random()?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns a seed for jitter that differs between processes.
///
/// # Errors
/// Returns an error if `/dev/urandom` cannot be read.
pub fn random_seed() -> io::Result<u64> {
    Ok(u64::from_ne_bytes(random()?))
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
