//! Whole electors on an object, steered by the commands for operators.

use std::time::Duration;

use crate::client::Bucket;
use crate::objects::{ALL, Kind};
use crate::support::for_each;
use crate::support::process::steering::{
    FROM_GIST, Place, moves_and_returns, pauses_and_resumes, switches_over,
};
use crate::support::process::{CAS_TIMES, Fixture};

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
    let from_object = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    moves_and_returns((&gist, &FROM_GIST), (&object, &from_object));
}

#[test]
fn election_moves_between_stores() {
    let buckets = [Bucket::new(Kind::Azure), Bucket::new(Kind::Google)];
    let places = buckets.each_ref().map(place);
    let from = ["LOCK_TOKEN"];
    moves_and_returns((&places[0], &from), (&places[1], &from));
}
