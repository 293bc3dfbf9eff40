//! A bare repository behind a small HTTP server, which runs `git http-backend` and can fail.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use elector::election::lock::LockError;
use elector::lock::cas::kind::Kind as _;
use elector::lock::exchange::{Exchange as _, HttpExchange};
use elector::lock::git::GitOptions;
use elector::lock::git::requests::Remote;
use elector::lock::git::store::{GitPlace, GitStore, WRITES_KEPT};
use elector::lock::store::{Snapshot, Step, Store as _, Version};
use tempfile::TempDir;

/// Time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Branch of the lock.
pub(crate) const BRANCH: &str = "refs/heads/elector";

/// What happens to one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It does not arrive.
    Lost,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// The header `Git-Protocol` is removed.
    WithoutProtocol,
    /// It is answered with this status, content type and body, and not carried out.
    Answer(&'static str, &'static str, Vec<u8>),
    /// Only so much of the answer's body arrives, and the connection ends.
    Truncated(usize),
}

#[derive(Debug, Default)]
struct State {
    /// Faults of the next requests whose path ends with the text.
    faults: VecDeque<(&'static str, Fault)>,
    /// Paths of the requests so far, and their credentials.
    requests: Vec<(String, String)>,
}

/// A repository and its server.
#[derive(Debug)]
pub(crate) struct Repository {
    folder: TempDir,
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Repository {
    pub(crate) fn new() -> Repository {
        Repository::with(&[])
    }

    /// Returns a new repository; `arguments` are for `git init`.
    pub(crate) fn with(arguments: &[&str]) -> Repository {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let repository = Repository {
            folder,
            port,
            state: Arc::clone(&state),
        };
        let path = repository.path();
        let mut init = git(repository.folder.path());
        init.args(["init", "--quiet", "--bare"]).args(arguments);
        assert!(init.arg(&path).status().unwrap().success());
        repository.configure("http.receivepack", "true");
        let root = repository.folder.path().to_owned();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (root, state) = (root.clone(), Arc::clone(&state));
                thread::spawn(move || drop(serve(&stream.unwrap(), &root, &state)));
            }
        });
        repository
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("locks.git")
    }

    pub(crate) fn configure(&self, name: &str, value: &str) {
        self.git(&["config", name, value], b"");
    }

    /// Runs git in the repository. Returns what it prints.
    pub(crate) fn git(&self, arguments: &[&str], input: &[u8]) -> String {
        let output = run(git(&self.path()).args(arguments), input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Returns what git prints, as bytes.
    pub(crate) fn git_bytes(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        run(git(&self.path()).args(arguments), input).stdout
    }

    /// Puts a commit with these files and no others on the branch.
    pub(crate) fn commit(&self, branch: &str, files: &[(&str, &[u8])]) -> String {
        let entries = files.iter().map(|(name, content)| {
            let blob = self.git(&["hash-object", "-w", "--stdin"], content);
            format!("100644 blob {blob}\t{name}\n")
        });
        let tree = entries.collect::<String>();
        let tree = self.git(&["mktree"], tree.as_bytes());
        let parents = self.git(&["for-each-ref", "--format=%(objectname)", branch], b"");
        let mut arguments = vec!["commit-tree", &tree, "-m", "by hand"];
        if !parents.is_empty() {
            arguments.extend(["-p", &parents]);
        }
        let commit = self.git(&arguments, b"");
        self.git(&["update-ref", branch, &commit], b"");
        commit
    }

    /// Returns the subjects of the commits on the branch, the newest first.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let log = self.git(&["log", "--format=%s", BRANCH], b"");
        log.lines().map(str::to_owned).collect()
    }

    /// Makes the repository refuse every push.
    pub(crate) fn add_hook(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        let hook = self.path().join("hooks/pre-receive");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn remove_hook(&self) {
        fs::remove_file(self.path().join("hooks/pre-receive")).unwrap();
    }

    /// Lets the next request whose path ends with `path` fail.
    pub(crate) fn fail(&self, path: &'static str, fault: Fault) {
        self.state.lock().unwrap().faults.push_back((path, fault));
    }

    /// Returns the number of requests so far whose path ends with `path`.
    pub(crate) fn requests(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        let requests = state.requests.iter();
        requests.filter(|(found, _)| found.ends_with(path)).count()
    }

    /// Returns the credentials of the requests so far.
    pub(crate) fn credentials(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let requests = state.requests.iter();
        requests
            .map(|(_, credentials)| credentials.clone())
            .collect()
    }

    /// Returns the options of the usual lock in it.
    pub(crate) fn options(&self) -> GitOptions {
        let url = format!("http://127.0.0.1:{}/locks.git", self.port);
        GitOptions {
            url: url.parse().unwrap(),
            reference: BRANCH.to_owned(),
            file: Some("leader.json".to_owned()),
            gist: None,
            access: None,
            ca_file: None,
            confirm_delay: None,
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.client_keeping(WRITES_KEPT)
    }

    /// Returns a client that keeps so many renewals of a term.
    pub(crate) fn client_keeping(&self, writes_kept: u32) -> Client {
        self.client_at(BRANCH, Some("leader.json"), writes_kept)
    }

    pub(crate) fn client_at(
        &self,
        reference: &str,
        file: Option<&str>,
        writes_kept: u32,
    ) -> Client {
        let place = GitPlace {
            remote: Remote {
                path: "/locks.git".to_owned(),
                place: "the place".to_owned(),
            },
            reference: reference.to_owned(),
            file: file.map(str::to_owned),
            writes_kept,
        };
        Client {
            store: GitStore::new(place),
            exchange: self.options().exchange().unwrap(),
        }
    }
}

/// A store and its connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) store: GitStore,
    exchange: HttpExchange,
}

impl Client {
    fn drive(&mut self, mut step: Step) -> Step {
        while let Step::Ask(requests) = step {
            let answer = self.exchange.ask(&requests, TIMEOUT).unwrap();
            step = self.store.handle(answer);
        }
        step
    }

    pub(crate) fn read(&mut self) -> Result<Snapshot, LockError> {
        let step = self.store.read();
        match self.drive(step) {
            Step::Read(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn write(
        &mut self,
        expected: Option<&Version>,
        value: &str,
    ) -> Result<Version, LockError> {
        let step = self.store.write(expected, value.as_bytes());
        match self.drive(step) {
            Step::Wrote(result) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Reads, and writes over what is there.
    pub(crate) fn replace(&mut self, value: &str) -> Result<Version, LockError> {
        let version = self.read()?.version;
        self.write(version.as_ref(), value)
    }

    /// Returns what is stored; empty for nothing.
    pub(crate) fn text(&mut self) -> String {
        let value = self.read().unwrap().value.unwrap_or_default();
        String::from_utf8(value.to_vec()).unwrap()
    }
}

/// Returns a record; `number` makes it unique.
pub(crate) fn record(holder: &str, token: u64, number: u32) -> String {
    format!(
        r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":40,"renewTime":"2026-11-22T10:00:00Z","leaderTransitions":{token},"number":{number}}}"#
    )
}

/// Returns git without the settings of the user.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.current_dir(folder).env_clear().env("PATH", path);
    command.envs([
        ("HOME", "/nonexistent"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "operator"),
        ("GIT_AUTHOR_EMAIL", "operator@example.com"),
        ("GIT_COMMITTER_NAME", "operator"),
        ("GIT_COMMITTER_EMAIL", "operator@example.com"),
    ]);
    command
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that needs no input may have ended.
    thread::spawn(move || drop(stdin.write_all(&input)));
    child.wait_with_output().unwrap()
}

/// Answers one request.
fn serve(stream: &TcpStream, root: &Path, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let fault = {
        let mut state = state.lock().unwrap();
        let credentials = header("authorization").to_owned();
        state.requests.push((path.to_owned(), credentials));
        let next = state.faults.front();
        match next.is_some_and(|(end, _)| path.ends_with(end)) {
            true => state.faults.pop_front().map(|(_, fault)| fault),
            false => None,
        }
    };
    let protocol = match fault {
        Some(Fault::Lost) => return Ok(()),
        Some(Fault::Answer(status, kind, body)) => {
            return answer(stream, status, &format!("content-type: {kind}\r\n"), &body);
        }
        Some(Fault::WithoutProtocol) => "",
        _ => header("git-protocol"),
    };
    let mut backend = git(root);
    backend.arg("http-backend").env("GIT_PROJECT_ROOT", root);
    backend.envs([
        ("GIT_HTTP_EXPORT_ALL", "1"),
        ("REQUEST_METHOD", &method),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("CONTENT_TYPE", header("content-type")),
        ("CONTENT_LENGTH", header("content-length")),
        ("GIT_PROTOCOL", protocol),
    ]);
    let output = run(&mut backend, &body).stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, mut body) = output.split_at(end.map_or(0, |end| end + 4));
    let head = String::from_utf8_lossy(head);
    let head = head.trim_end().to_owned() + "\r\n";
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    let status = status.unwrap_or("200 OK").to_owned();
    match fault {
        Some(Fault::AnswerLost) => return Ok(()),
        Some(Fault::Truncated(length)) => body = &body[..length.min(body.len())],
        _ => {}
    }
    answer(stream, &status, &head, body)
}

fn answer(mut stream: &TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let now = time::OffsetDateTime::now_utc();
    let date = now.format(&time::format_description::well_known::Rfc2822);
    let head = format!(
        "HTTP/1.1 {status}\r\ndate: {}\r\nconnection: close\r\n{headers}\r\n",
        date.unwrap()
    );
    stream.write_all(&[head.as_bytes(), body].concat())
}
