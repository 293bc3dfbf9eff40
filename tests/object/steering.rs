//! Whole electors on an object, steered by the commands for operators.

use std::ffi::OsStr;
use std::time::Duration;

use crate::client::Bucket;
use crate::objects::{ALL, Kind};
use crate::support::for_each;
use crate::support::process::steering::{
    Place, moves_and_returns, pauses_and_resumes, switches_over,
};
use crate::support::process::{CAS_TIMES, Fixture, TOKEN};

const LEASE: Duration = Duration::from_secs(3);

fn place(bucket: &Bucket) -> Place<'_> {
    let mut settings = CAS_TIMES
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec();
    settings.extend(bucket.variables());
    Place::new(settings, || bucket.record())
}

#[test]
fn named_candidate_leads_next() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        switches_over(&place(&bucket));
    });
}

#[test]
fn nobody_leads_until_resumed() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        pauses_and_resumes(&place(&bucket), LEASE);
    });
}

#[test]
fn election_moves_from_gist_and_back() {
    let (fixture, bucket) = (Fixture::new(), Bucket::new(Kind::S3));
    let (gist, object) = (Place::gist(&fixture), place(&bucket));
    let url = fixture.service.url();
    let gist_lock = format!("gist:{}", fixture.gist);
    let from_gist = [
        ("FROM_GITHUB_API_URL", OsStr::new(&url)),
        ("FROM_GITHUB_API_TOKEN", OsStr::new(TOKEN)),
        ("FROM_CONFIRM_DELAY", OsStr::new("100ms")),
    ];
    let variables = bucket.variables();
    let credentials = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let from_object = credentials.map(|name| (name, OsStr::new(&variables[name])));
    moves_and_returns(
        (&gist, (&gist_lock, &from_gist)),
        (&object, (&variables["LOCK"], &from_object)),
    );
}

#[test]
fn election_moves_between_stores() {
    let buckets = [Bucket::new(Kind::Azure), Bucket::new(Kind::Google)];
    let places = buckets.each_ref().map(place);
    let variables = buckets.each_ref().map(Bucket::variables);
    let from =
        |variables: &std::collections::BTreeMap<&str, String>| variables["LOCK_TOKEN"].clone();
    let tokens = variables.each_ref().map(from);
    let from = tokens
        .each_ref()
        .map(|token| [("FROM_LOCK_TOKEN", OsStr::new(token))]);
    moves_and_returns(
        (&places[0], (&variables[0]["LOCK"], &from[0])),
        (&places[1], (&variables[1]["LOCK"], &from[1])),
    );
}
