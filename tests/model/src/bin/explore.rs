//! scratch
use model::explore::{counterexample, explore};
use model::lock::*;
use multi_cluster_leader_election::lock::gist::wire::Text;
fn main() {
    let a: Vec<u8> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    // per process: looks writes warm ; then overwrites other dup fail pauses vanish page
    let n = a[0] as usize;
    let processes = (0..n)
        .map(|i| Calls {
            looks: a[1 + 3 * i],
            writes: a[2 + 3 * i],
            warm: a[3 + 3 * i] > 0,
        })
        .collect();
    let b = &a[1 + 3 * n..];
    let bounds = Bounds {
        processes,
        beginning: Text::Whole("{}".into()),
        overwrites: b[0],
        other_files: b[1],
        duplicates: b[2],
        failures: b[3],
        pauses: b[4],
        vanishing: b[5],
        page: b[6] as usize,
        jumps: b.get(7) == Some(&1),
    };
    if std::env::var("CX").is_ok() {
        match counterexample(LockModel::new(bounds)) {
            Some((n, p)) => {
                println!("{n}");
                for s in p {
                    println!("  {s:?}");
                }
            }
            None => println!("none"),
        }
        return;
    }
    println!("{}", explore(LockModel::new(bounds)));
}
