//! Reads a leader file for a program beside an elector.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use super::disk::{Content, MAX_LENGTH, boot_id};
use crate::fmt::one_line;
use crate::system::clock::BootClock;

/// Checks that the leader file at `path` says that its candidate leads now.
///
/// # Errors
/// Returns the reason if the candidate does not lead, or if the file does not tell.
pub fn check_leading(path: &Path) -> Result<(), String> {
    let text = read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "does not exist, so the candidate does not lead".to_owned(),
        _ => format!("cannot be read ({error}); give the path in LEADER_FILE of the elector"),
    });
    text.and_then(|text| check(&text))
        .map_err(|why| format!("{}: {why}", one_line(&path.to_string_lossy())))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    // Opening a pipe could block forever.
    let file = options
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(MAX_LENGTH + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn check(text: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(text).ok();
    let text = text.filter(|text| text.len() as u64 <= MAX_LENGTH);
    let Some(content) = text.and_then(Content::parse) else {
        return Err("not a leader file; give the path in LEADER_FILE of the elector".to_owned());
    };
    let boot = boot_id().map_err(|error| {
        format!("/proc/sys/kernel/random/boot_id cannot be read ({error}); mount /proc")
    })?;
    match content.boot_id {
        None => return Err("bootId is missing; give the elector a /proc".to_owned()),
        Some(id) if id != boot => {
            return Err("from another boot, so the candidate does not lead".to_owned());
        }
        Some(_) => {}
    }
    // The clock is read last, after everything that may take long.
    let expired_for = BootClock::now().since_boot().as_secs_f64() - content.valid_until;
    match expired_for < 0.0 {
        true => Ok(()),
        false => Err(format!(
            "expired {expired_for:.1}s ago, so the candidate does not lead"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a leader file that expires after `seconds`, in this boot.
    fn file(seconds: f64) -> String {
        let until = BootClock::now().since_boot().as_secs_f64() + seconds;
        let boot = boot_id().unwrap();
        format!(
            "{{\"identity\":\"me\",\"fencingToken\":7,\"validUntil\":{until:.2},\"bootId\":\"{boot}\"}}\n"
        )
    }

    #[test]
    fn valid_file_of_this_boot_leads() {
        assert_eq!(check(file(60.0).as_bytes()), Ok(()));
        // Its last line may lack the newline, and it may have other keys.
        let other = file(60.0).replace("}\n", ",\"other\":null}");
        assert_eq!(check(other.as_bytes()), Ok(()));
    }

    #[test]
    fn any_other_content_does_not_lead() {
        let valid = file(60.0);
        let boot = boot_id().unwrap();
        let long = valid.replace("me", &"x".repeat(20_000));
        for (text, part) in [
            (file(-0.1), "expired 0.1s ago"),
            (file(-100.0), "expired 100.0s ago"),
            (valid.replace(&boot[..8], "00000000"), "from another boot"),
            (valid.replace(&boot, ""), "from another boot"),
            (
                valid.replace(&format!("\"{boot}\""), "null"),
                "bootId is missing",
            ),
            (
                valid.replace(&format!(",\"bootId\":\"{boot}\""), ""),
                "bootId is missing",
            ),
            (valid.replace("fencingToken", "token"), "not a leader file"),
            (valid.replace("validUntil", "until"), "not a leader file"),
            (
                valid.replace("\"validUntil\":", "\"validUntil\":-"),
                "expired",
            ),
            (
                valid.replace("\"validUntil\":", "\"validUntil\":1e999"),
                "not a leader file",
            ),
            (valid.replace("identity", "name"), "not a leader file"),
            (valid.repeat(2), "not a leader file"),
            (valid[..valid.len() - 3].to_owned(), "not a leader file"),
            (String::new(), "not a leader file"),
            ("{}\n".to_owned(), "not a leader file"),
            (long, "not a leader file"),
        ] {
            let error = check(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(part), "{text}: {error}");
        }
        assert!(check(b"\xff\xfe").is_err());
    }
}
