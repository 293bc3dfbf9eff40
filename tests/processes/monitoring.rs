//! `hack/monitoring`: rules and dashboard, checked by promtool and evaluated by a Prometheus that scrapes an
//! election.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::endpoints::watched::{Watched, spawn};
use crate::manifests::read;
use crate::support::process::{Fixture, await_one_leading};
use crate::support::{eventually, tools};

/// Interval of rates in the dashboard's queries, which Grafana replaces.
const RATE_INTERVAL: &str = "$__rate_interval";

fn monitoring(file: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/monitoring");
    folder.join(file)
}

/// Returns the dashboard's queries for this election.
fn dashboard_queries(election: &str) -> Vec<String> {
    let text = read("hack/monitoring/dashboard.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    let queries = queries.map(|query| query.replace("$name", election));
    let queries: Vec<String> = queries
        .map(|query| query.replace(RATE_INTERVAL, "30s"))
        .collect();
    assert!(queries.len() > 10);
    queries
}

#[test]
fn rules_pass_promtool() {
    let Some(promtool) = tools::find(&["promtool"], "the rules are NOT checked") else {
        return;
    };
    for arguments in [["check", "rules"], ["test", "rules"]] {
        let file = match arguments[0] {
            "check" => "rules.yaml",
            _ => "rules_test.yaml",
        };
        let mut command = Command::new(&promtool);
        let output = command.args(arguments).arg(monitoring(file)).output();
        let output = output.unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(output.status.success(), "{printed}");
    }
}

#[test]
fn every_alert_is_documented_and_tested() {
    let rules = read("hack/monitoring/rules.yaml");
    let tests = read("hack/monitoring/rules_test.yaml");
    let docs = read("docs/operations.md");
    let values = |key: &'static str| {
        let lines = rules.lines().map(str::trim_start);
        lines.filter_map(move |line| line.strip_prefix(key)?.strip_prefix(": "))
    };
    let alerts: Vec<&str> = values("- alert").collect();
    assert!(alerts.len() > 5);
    for alert in &alerts {
        assert!(tests.contains(&format!("  - name: {alert}\n")), "{alert}");
        assert!(docs.contains(&format!("| `{alert}`")), "{alert}");
    }
    let repository = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");
    let runbooks: Vec<&str> = values("runbook_url").collect();
    assert_eq!(runbooks.len(), alerts.len());
    for runbook in runbooks {
        let page = runbook.strip_prefix(repository).unwrap();
        let (file, anchor) = page.split_once('#').unwrap();
        let text = read(file);
        let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        assert!(headings.map(anchor_of).any(|it| it == anchor), "{runbook}");
    }
}

/// Returns the anchor that GitHub gives to a heading.
fn anchor_of(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A Prometheus with the rules of `hack/monitoring`. It does not outlive its test.
struct Prometheus {
    child: Child,
    folder: TempDir,
    url: String,
}

impl Prometheus {
    fn start(program: &Path) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
            "rule_files": [monitoring("rules.yaml")],
            "scrape_configs": [{
                "job_name": "elector",
                "file_sd_configs": [{"files": [folder.path().join("targets.json")]}],
            }],
        });
        // JSON is YAML.
        fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let child = Command::new(program)
            .arg(format!("--config.file={}", path("prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", path("data")))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://{address}");
        let prometheus = Prometheus { child, folder, url };
        eventually("Prometheus is ready", || {
            ureq::get(format!("{}/-/ready", prometheus.url))
                .call()
                .is_ok()
        });
        prometheus
    }

    fn scrape(&self, electors: &[Watched]) {
        let targets: Vec<_> = electors.iter().map(|it| it.addr.to_string()).collect();
        let file = self.folder.path().join("targets.json");
        fs::write(file, json!([{ "targets": targets }]).to_string()).unwrap();
    }

    fn get(&self, path: &str, query: Option<&str>) -> Value {
        let mut request = ureq::get(format!("{}/api/v1/{path}", self.url));
        if let Some(query) = query {
            request = request.query("query", query);
        }
        let answer = request.call();
        let mut answer = answer.unwrap_or_else(|error| panic!("{path} {query:?}: {error}"));
        let text = answer.body_mut().read_to_string().unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        answer["data"].take()
    }

    /// Returns the samples that a query returns now.
    fn query(&self, query: &str) -> Vec<Value> {
        let result = self.get("query", Some(query))["result"].take();
        result.as_array().unwrap().clone()
    }

    /// Returns the values of a label in the result of a query.
    fn labels(&self, query: &str, label: &str) -> Vec<String> {
        let samples = self.query(query);
        let values = samples.iter().map(|sample| sample["metric"][label].clone());
        values
            .map(|value| value.as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_follows_failover() {
    let Some(program) = tools::find(&["prometheus"], "the alerts are NOT evaluated") else {
        return;
    };
    let prometheus = Prometheus::start(&program);
    let fixture = Fixture::new();
    fixture
        .set_faults(r#"{"primary_limit":100000,"token_expiration":"2099-12-24 18:00:00 +0100"}"#);
    let names = ["napoleon", "cleopatra", "hannibal"];
    let mut electors = names.map(|name| {
        let start = fixture.elector(name).running(&["sleep", "1000"]);
        let start = start.with("ELECTOR_HTTP_ADDR", "127.0.0.1:0");
        let healthy = format!("{}/-/healthy", prometheus.url);
        spawn(&fixture, start.with("WORKLOAD_HEALTH_URL", healthy))
    });
    prometheus.scrape(&electors);
    let leaders = "count by (holder) (elector_leader_info)";
    let first = await_one_leading(&electors.each_ref().map(|it| &**it));
    eventually("every candidate's leader is scraped", || {
        let known = prometheus.query("count(elector_leader_info) == 3");
        !known.is_empty() && prometheus.labels(leaders, "holder") == [names[first]]
    });

    electors[first].kill();
    let mut others = electors.iter().enumerate().filter(|(n, _)| *n != first);
    let others = [others.next().unwrap(), others.next().unwrap()];
    let next = await_one_leading(&others.map(|(_, it)| &**it));
    let next = names[others[next].0];
    eventually("the next leader is scraped", || {
        prometheus.labels(leaders, "holder") == [next]
    });

    for query in dashboard_queries(&fixture.gist) {
        eventually(&query, || !prometheus.query(&query).is_empty());
    }
    let terms = prometheus.query("max(changes(elector_fencing_token[1m])) == 1");
    assert_eq!(terms.len(), 1);

    let groups = prometheus.get("rules", None)["groups"].take();
    let rules = groups[0]["rules"].as_array().unwrap();
    assert!(rules.len() > 5, "{groups}");
    let query_of = |alert: &str| {
        let rule = rules.iter().find(|rule| rule["name"] == alert);
        rule.unwrap()["query"].as_str().unwrap().to_owned()
    };
    // The killed leader is the only reason for an alert, and the new one leads alone.
    let killed = electors[first].addr.to_string();
    let down = query_of("ElectorTargetDown");
    eventually("the killed leader is down", || {
        prometheus.labels(&down, "instance") == [killed.as_str()]
    });
    for rule in rules {
        let alert = rule["name"].as_str().unwrap();
        if alert != "ElectorTargetDown" {
            let query = query_of(alert);
            eventually(&format!("{alert} is quiet"), || {
                prometheus.query(&query).is_empty()
            });
        }
    }
    // An outage of the store makes others pending.
    fixture.set_faults(r#"{"outage":true}"#);
    for alert in ["ElectorNoLeader", "ElectorStoreUnreachable"] {
        let query = query_of(alert);
        eventually(alert, || !prometheus.query(&query).is_empty());
    }
}
