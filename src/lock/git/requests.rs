//! Requests of git's smart HTTP protocol, and what their answers say. Pure.
//!
//! Reads follow protocol 2: `ls-refs` and `fetch`. A push follows protocol 0, as git's own client does.

use super::object::ObjectId;
use super::pkt_line::{self, DELIMITER, FLUSH, Malformed, Packet, Packets};
use crate::election::lock::LockError;
use crate::fmt::one_line;
use crate::lock::store::{LONGEST_VALUE, Request, Response};

/// Greatest size of an answer with objects, in bytes.
pub const LONGEST_PACK: usize = 4 * 1024 * 1024;

/// Name of the branch that a repository shows first.
pub const HEAD: &str = "HEAD";

/// Beginning of a branch's full name.
pub const BRANCHES: &str = "refs/heads/";

/// Abilities of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Abilities {
    /// Whether it leaves out large blobs on request.
    pub filter: bool,
}

/// Branch and its newest commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Full name of the branch.
    pub reference: String,
    /// Newest commit.
    pub commit: ObjectId,
}

/// Answer to a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Pack with the objects.
    Pack(Vec<u8>),
    /// The server refused it, for this reason. The commit may have been replaced in the meantime.
    Refused(String),
}

/// Answer to a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The branch has the new commit.
    Done,
    /// The branch was left unchanged, for this reason.
    Refused(String),
}

/// Server and repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    /// Path of the repository, without a slash at the end.
    pub path: String,
    /// Place for messages.
    pub place: String,
}

impl Remote {
    /// Returns a request for the server's abilities.
    #[must_use]
    pub fn ask_abilities(&self) -> Request {
        let path = format!("{}/info/refs?service=git-upload-pack", self.path);
        Request::get(path).header("git-protocol", "version=2")
    }

    /// Returns a request for a branch. `reference` is its full name, or [`HEAD`].
    #[must_use]
    pub fn ask_head(&self, reference: &str) -> Request {
        let prefix = format!("ref-prefix {reference}\n");
        let arguments = match reference {
            HEAD => vec!["symrefs\n", &prefix],
            _ => vec![prefix.as_str()],
        };
        self.ask("ls-refs", &arguments)
    }

    /// Returns a request for the newest `depth` commits up to `commit`, with their files.
    #[must_use]
    pub fn ask_objects(&self, commit: ObjectId, depth: usize, abilities: Abilities) -> Request {
        let (want, deepen) = (format!("want {commit}\n"), format!("deepen {depth}\n"));
        let filter = format!("filter blob:limit={}\n", LONGEST_VALUE + 1);
        let mut arguments = vec!["no-progress\n", &deepen, &want];
        if abilities.filter {
            arguments.push(&filter);
        }
        arguments.push("done\n");
        Request {
            max_body: LONGEST_PACK,
            ..self.ask("fetch", &arguments)
        }
    }

    fn ask(&self, command: &str, arguments: &[&str]) -> Request {
        let mut body = Vec::new();
        pkt_line::push(&mut body, format!("command={command}\n"));
        body.extend(DELIMITER);
        for argument in arguments {
            pkt_line::push(&mut body, argument);
        }
        body.extend(FLUSH);
        let request = Request {
            method: "POST",
            body: Some(body),
            ..Request::get(format!("{}/git-upload-pack", self.path))
        };
        request
            .header("git-protocol", "version=2")
            .header("content-type", "application/x-git-upload-pack-request")
            .header("accept", "application/x-git-upload-pack-result")
    }

    /// Returns a push that moves `reference` from `old` to `new`, whose objects are in `pack`.
    #[must_use]
    pub fn push(&self, reference: &str, old: ObjectId, new: ObjectId, pack: &[u8]) -> Request {
        let mut body = Vec::new();
        let command = format!("{old} {new} {reference}\0 report-status agent=elector");
        pkt_line::push(&mut body, command);
        body.extend(FLUSH);
        body.extend(pack);
        Request::write("POST", format!("{}/git-receive-pack", self.path), body)
            .header("content-type", "application/x-git-receive-pack-request")
            .header("accept", "application/x-git-receive-pack-result")
    }

    /// Returns the server's abilities.
    ///
    /// # Errors
    /// If the answer is another one, or if the repository cannot be used.
    pub fn abilities(&self, response: &Response) -> Result<Abilities, LockError> {
        self.check(response, "application/x-git-upload-pack-advertisement")?;
        let lines = Packets::new(&response.body).map_while(Result::ok);
        let lines = lines.filter_map(|line| match line {
            Packet::Data(line) => Some(line.strip_suffix(b"\n").unwrap_or(line)),
            _ => None,
        });
        // A version-0 answer may have many lines.
        let lines: Vec<&[u8]> = lines.take(100).collect();
        if !lines.contains(&b"version 2".as_slice()) {
            return Err(LockError::Refused(self.without_protocol_2()));
        }
        if lines.contains(&b"object-format=sha256".as_slice()) {
            return Err(LockError::Refused(self.with_sha256()));
        }
        let mut fetch = lines.iter().filter_map(|line| line.strip_prefix(b"fetch="));
        let mut words = fetch.next().unwrap_or_default().split(|byte| *byte == b' ');
        Ok(Abilities {
            filter: words.any(|word| word == b"filter"),
        })
    }

    /// Returns the branch; `None` if there is none of this name.
    ///
    /// # Errors
    /// If the answer is another one.
    pub fn head(&self, response: &Response, reference: &str) -> Result<Option<Head>, LockError> {
        let lines = self.lines(response)?;
        if lines.last() != Some(&Packet::Flush) {
            return Err(LockError::Unavailable(match response.body.is_empty() {
                true => self.without_protocol_2(),
                false => self.broken_off(),
            }));
        }
        for line in &lines {
            let Packet::Data(line) = line else {
                continue;
            };
            let line = String::from_utf8_lossy(line);
            let mut words = line.trim_end().split(' ');
            let (id, name) = (words.next(), words.next());
            if name != Some(reference) {
                continue;
            }
            let id = id.unwrap_or_default();
            let commit = id.parse().map_err(|()| match id.len() {
                64 => LockError::Refused(self.with_sha256()),
                _ => self.not_understood(),
            })?;
            let target = words.find_map(|word| word.strip_prefix("symref-target:"));
            let target = match reference {
                HEAD => target.ok_or_else(|| self.not_understood())?,
                reference => reference,
            };
            return Ok(Some(Head {
                reference: target.to_owned(),
                commit,
            }));
        }
        Ok(None)
    }

    /// Returns the objects of a fetch.
    ///
    /// # Errors
    /// If the answer is another one, or too large.
    pub fn objects(&self, response: &Response) -> Result<Fetched, LockError> {
        self.check(response, "application/x-git-upload-pack-result")?;
        if response.cut {
            return Err(LockError::Refused(self.too_large()));
        }
        let (mut pack, mut begun, mut ended) = (Vec::new(), false, false);
        for line in Packets::new(&response.body) {
            match line.map_err(|Malformed| self.not_understood())? {
                Packet::Data(b"packfile\n") if !begun => begun = true,
                Packet::Data([1, data @ ..]) if begun => pack.extend(data),
                Packet::Data([2, ..]) if begun => {}
                Packet::Data([3, why @ ..]) if begun => return Ok(Fetched::Refused(text(why))),
                Packet::Data(line) => {
                    if let Some(why) = line.strip_prefix(b"ERR ") {
                        return Ok(Fetched::Refused(text(why)));
                    }
                }
                Packet::Flush => ended = true,
                Packet::Delimiter | Packet::ResponseEnd => {}
            }
        }
        match (begun, ended) {
            (true, true) => Ok(Fetched::Pack(pack)),
            (false, _) if response.body.is_empty() => {
                Err(LockError::Unavailable(self.without_protocol_2()))
            }
            _ => Err(LockError::Unavailable(self.broken_off())),
        }
    }

    /// Returns what the server made of a push.
    ///
    /// # Errors
    /// If the answer is another one. [`LockError::OutcomeUnknown`] if the push may have landed.
    pub fn report(&self, response: &Response, reference: &str) -> Result<Report, LockError> {
        if response.status != 200 {
            return Err(response.error(&self.place, reason(response), true));
        }
        let unclear = || LockError::OutcomeUnknown(self.not_understood().to_string());
        let mut unpacked = None;
        for line in Packets::new(&response.body) {
            let Packet::Data(line) = line.map_err(|Malformed| unclear())? else {
                continue;
            };
            let line = text(line);
            if let Some(result) = line.strip_prefix("unpack ") {
                unpacked = Some(result.to_owned()).filter(|result| result != "ok");
            } else if line.strip_prefix("ok ") == Some(reference) {
                return Ok(Report::Done);
            } else if let Some(why) = line.strip_prefix("ng ") {
                let why = why.strip_prefix(reference).unwrap_or(why).trim();
                let unpacked = unpacked.map(|result| format!("{result}, "));
                return Ok(Report::Refused(unpacked.unwrap_or_default() + why));
            }
        }
        Err(unclear())
    }

    fn lines<'a>(&self, response: &'a Response) -> Result<Vec<Packet<'a>>, LockError> {
        self.check(response, "application/x-git-upload-pack-result")?;
        let lines: Result<Vec<Packet<'a>>, Malformed> = Packets::new(&response.body).collect();
        let lines = lines.map_err(|Malformed| match response.cut {
            true => LockError::Refused(self.too_large()),
            false => self.not_understood(),
        })?;
        for line in &lines {
            match line {
                Packet::Data(line) if line.starts_with(b"# service=") || line.contains(&0) => {
                    return Err(LockError::Unavailable(self.without_protocol_2()));
                }
                Packet::Data(line) if line.starts_with(b"ERR ") => {
                    let why = text(&line[4..]);
                    return Err(LockError::Unavailable(format!("{}: {why}", self.place)));
                }
                _ => {}
            }
        }
        Ok(lines)
    }

    /// Checks that it is an answer of git to a read.
    fn check(&self, response: &Response, kind: &str) -> Result<(), LockError> {
        if response.status != 200 {
            return Err(response.error(&self.place, reason(response), false));
        }
        match response.header("content-type") {
            Some(found) if found.split(';').next().map(str::trim) == Some(kind) => Ok(()),
            found => Err(LockError::Unavailable(format!(
                "{}: the answer is of the type {}, so it is not from a git server; check the \
                 address and any proxy on the way",
                self.place,
                one_line(found.unwrap_or("(none)"))
            ))),
        }
    }

    fn without_protocol_2(&self) -> String {
        format!(
            "{}: the server did not answer by git's protocol 2; check whether a proxy on the way \
             removes the header Git-Protocol; Azure Repos and old servers cannot be used",
            self.place
        )
    }

    fn with_sha256(&self) -> String {
        format!(
            "{}: the repository names its objects by SHA-256, which is not supported; create one \
             with --object-format=sha1",
            self.place
        )
    }

    /// Returns the text of an error about a place that holds too much.
    #[must_use]
    pub fn too_large(&self) -> String {
        format!(
            "{}: the branch holds too much to be read at every change; use a separate branch or repository \
             for the lock",
            self.place
        )
    }

    fn broken_off(&self) -> String {
        format!(
            "{}: the answer broke off; check any proxy on the way",
            self.place
        )
    }

    /// Returns the error of an answer that does not follow git's protocol.
    #[must_use]
    pub fn not_understood(&self) -> LockError {
        LockError::Unavailable(format!(
            "{}: the answer does not follow git's protocol; check the address and any proxy on \
             the way",
            self.place
        ))
    }
}

/// Returns the server's words in a response that is not git's.
fn reason(response: &Response) -> &str {
    match response.header("content-type") {
        Some(kind) if kind.starts_with("text/plain") => {
            std::str::from_utf8(&response.body).unwrap_or_default()
        }
        _ => "",
    }
}

fn text(bytes: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8d0a10e33cb45ddb0362e668d6363818a5a95b6c";
    const BRANCH: &str = "refs/heads/elector";

    fn remote() -> Remote {
        Remote {
            path: "/me/locks.git".to_owned(),
            place: "the place".to_owned(),
        }
    }

    fn response(kind: &str, lines: &[&[u8]]) -> Response {
        let mut body = Vec::new();
        for line in lines {
            match *line {
                FLUSH => body.extend(FLUSH),
                line => pkt_line::push(&mut body, line),
            }
        }
        Response {
            status: 200,
            headers: vec![(
                "content-type".to_owned(),
                format!("application/x-git-{kind}"),
            )],
            body,
            cut: false,
        }
    }

    fn read(lines: &[&[u8]]) -> Response {
        response("upload-pack-result", lines)
    }

    fn report(lines: &[&[u8]]) -> Result<Report, LockError> {
        remote().report(&response("receive-pack-result", lines), BRANCH)
    }

    #[test]
    fn only_exact_branch_is_head() {
        let lines = [
            format!("{ID} {BRANCH}-2\n"),
            format!("{} {BRANCH}\n", ID.replace('8', "9")),
        ];
        let answer = read(&[lines[0].as_bytes(), lines[1].as_bytes(), FLUSH]);
        let head = remote().head(&answer, BRANCH).unwrap().unwrap();
        assert_eq!(head.commit.to_string(), ID.replace('8', "9"));
        assert_eq!(head.reference, BRANCH);
        assert_eq!(remote().head(&read(&[FLUSH]), BRANCH), Ok(None));
    }

    #[test]
    fn first_branch_is_followed() {
        let line = format!("{ID} HEAD symref-target:refs/heads/main\n");
        let head = remote().head(&read(&[line.as_bytes(), FLUSH]), HEAD);
        assert_eq!(head.unwrap().unwrap().reference, "refs/heads/main");
        let detached = format!("{ID} HEAD\n");
        let head = remote().head(&read(&[detached.as_bytes(), FLUSH]), HEAD);
        assert!(matches!(head, Err(LockError::Unavailable(_))), "{head:?}");
    }

    #[test]
    fn other_answers_are_no_head() {
        let sha256 = format!("{}{} {BRANCH}\n", ID, "0".repeat(24));
        let version_0 = format!("{ID} HEAD\0multi_ack");
        for (answer, part) in [
            (read(&[]), "Git-Protocol"),
            (read(&[version_0.as_bytes(), FLUSH]), "Git-Protocol"),
            (
                read(&[b"# service=git-upload-pack\n", FLUSH]),
                "Git-Protocol",
            ),
            (read(&[b"x y\n"]), "broke off"),
            (read(&[b"ERR no such thing", FLUSH]), "no such thing"),
            (
                read(&[format!("x {BRANCH}").as_bytes(), FLUSH]),
                "git's protocol",
            ),
            (response("html", &[FLUSH]), "x-git-html"),
        ] {
            let head = remote().head(&answer, BRANCH);
            assert!(
                matches!(&head, Err(LockError::Unavailable(why)) if why.contains(part)),
                "{head:?}"
            );
        }
        let head = remote().head(&read(&[sha256.as_bytes(), FLUSH]), BRANCH);
        assert!(matches!(&head, Err(LockError::Refused(why)) if why.contains("SHA-256")));
    }

    #[test]
    fn abilities_need_protocol_2_and_sha1() {
        let abilities =
            |lines: &[&[u8]]| remote().abilities(&response("upload-pack-advertisement", lines));
        let service: &[u8] = b"# service=git-upload-pack\n";
        for (fetch, filter) in [
            (&b"fetch=shallow filter\n"[..], true),
            (b"fetch=shallow\n", false),
        ] {
            let found = abilities(&[service, FLUSH, b"version 2\n", fetch, FLUSH]);
            assert_eq!(found, Ok(Abilities { filter }));
        }
        let found = abilities(&[
            service,
            FLUSH,
            b"version 2\n",
            b"object-format=sha256\n",
            FLUSH,
        ]);
        assert!(matches!(&found, Err(LockError::Refused(why)) if why.contains("SHA-256")));
        for lines in [&[][..], &[service, FLUSH, b"1234 HEAD"]] {
            let found = abilities(lines);
            assert!(matches!(&found, Err(LockError::Refused(why)) if why.contains("Git-Protocol")));
        }
    }

    #[test]
    fn pack_is_joined_from_its_band() {
        let lines: [&[u8]; 5] = [
            b"shallow-info\n",
            b"packfile\n",
            b"\x01PA",
            b"\x02hm",
            b"\x01CK",
        ];
        let whole = read(&[&lines[..], &[FLUSH]].concat());
        assert_eq!(
            remote().objects(&whole),
            Ok(Fetched::Pack(b"PACK".to_vec()))
        );
        let broken = remote().objects(&read(&lines));
        assert!(
            matches!(broken, Err(LockError::Unavailable(_))),
            "{broken:?}"
        );
        for lines in [
            &[&b"ERR upload-pack: not our ref"[..]][..],
            &[b"packfile\n", b"\x03not our ref"],
        ] {
            let refused = remote().objects(&read(lines));
            assert!(matches!(&refused, Ok(Fetched::Refused(why)) if why.contains("not our")));
        }
        let cut = Response { cut: true, ..whole };
        let large = remote().objects(&cut);
        assert!(matches!(large, Err(LockError::Refused(_))), "{large:?}");
    }

    #[test]
    fn report_says_what_landed() {
        let done = report(&[b"unpack ok\n", b"ok refs/heads/elector\n", FLUSH]);
        assert_eq!(done, Ok(Report::Done));
        let refused = report(&[
            b"unpack ok\n",
            b"ng refs/heads/elector hook declined\n",
            FLUSH,
        ]);
        assert_eq!(refused, Ok(Report::Refused("hook declined".to_owned())));
        let refused = report(&[
            b"unpack disk full\n",
            b"ng refs/heads/elector unpacker error\n",
        ]);
        assert_eq!(
            refused,
            Ok(Report::Refused("disk full, unpacker error".to_owned()))
        );
        let other: [&[u8]; 2] = [b"unpack ok\n", b"ok refs/heads/elector-2\n"];
        for lines in [&[][..], &other[..1], &other[..]] {
            let unclear = report(lines);
            assert!(
                matches!(unclear, Err(LockError::OutcomeUnknown(_))),
                "{unclear:?}"
            );
        }
    }

    #[test]
    fn plain_reasons_are_repeated() {
        let mut answer = response("x", &[]);
        answer.status = 403;
        answer.body = b"Write access to repository not granted.\n".to_vec();
        let error = remote().report(&answer, BRANCH).unwrap_err();
        assert!(!error.to_string().contains("not granted"), "{error}");
        answer.headers = vec![(
            "content-type".to_owned(),
            "text/plain; charset=UTF-8".to_owned(),
        )];
        let error = remote().report(&answer, BRANCH).unwrap_err();
        assert!(matches!(&error, LockError::Unauthorized(why) if why.contains("not granted")));
    }
}
