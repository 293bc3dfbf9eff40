//! A git repository behind `git http-backend`, over TLS.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;

use rustls::{ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::place::Place;
use crate::relay::read_request;
use crate::support::authority::Authority;
use crate::support::process::SECRET;
use crate::support::tools;

/// A server of one repository.
#[derive(Debug)]
struct Server {
    port: u16,
    folder: TempDir,
}

/// Returns an election's branch; `None` if git is missing, or if this elector has no lock for it.
pub(crate) fn place(election: &str) -> Option<Place> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(start).as_ref()?;
    let place = Place {
        lock: format!("git+https://localhost:{}/locks.git#{election}", server.port),
        access: vec![("LOCK_TOKEN", format!("{SECRET}-of-git"))],
        ca_file: Some(server.folder.path().join("ca.crt")),
    };
    if let Err(problems) = place.spec() {
        println!("*** git is NOT tested: {} ***", problems.join("; "));
        return None;
    }
    Some(place)
}

fn start() -> Option<Server> {
    tools::find(&["git"], "a git repository is NOT tested")?;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::for_name("localhost");
    std::fs::write(folder.path().join("ca.crt"), &authority.pem).unwrap();
    for arguments in [
        &["init", "--quiet", "--bare", "locks.git"][..],
        &["-C", "locks.git", "config", "http.receivepack", "true"],
    ] {
        let status = git(folder.path()).args(arguments).status();
        assert!(status.unwrap().success(), "{arguments:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let root = folder.path().to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (tls, root) = (Arc::clone(&authority.server), root.clone());
            thread::spawn(move || {
                let connection = ServerConnection::new(tls).unwrap();
                // The client notices a broken connection itself.
                let _ = serve(StreamOwned::new(connection, stream), &root);
            });
        }
    });
    Some(Server { port, folder })
}

/// Returns a command of git that no settings of the machine influence.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", folder);
    command
}

/// Answers one request by `git http-backend`, which is a CGI program.
fn serve(mut stream: StreamOwned<ServerConnection, TcpStream>, root: &PathBuf) -> io::Result<()> {
    let request = read_request(&mut stream)?;
    let end = request.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = request.split_at(end.unwrap_or_default() + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.trim())
    };
    let mut backend = git(root)
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "elector")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = backend.stdin.take() {
        // It may answer without reading all.
        let _ = stdin.write_all(body);
    }
    let mut answer = Vec::new();
    if let Some(mut stdout) = backend.stdout.take() {
        stdout.read_to_end(&mut answer)?;
    }
    backend.wait()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (headers, body) = answer.split_at(end.unwrap_or_default());
    let headers = String::from_utf8_lossy(headers).into_owned();
    let status = headers
        .lines()
        .find_map(|line| line.strip_prefix("Status: "));
    let head = format!(
        "HTTP/1.1 {}\r\ndate: {}\r\nconnection: close\r\n{headers}",
        status.unwrap_or("200 OK"),
        http_date(),
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Returns the present time as HTTP writes it.
fn http_date() -> String {
    let now = time::OffsetDateTime::now_utc();
    let text = now.format(&time::format_description::well_known::Rfc2822);
    text.unwrap().replace("+0000", "GMT")
}
