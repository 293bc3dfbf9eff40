//! scratch
use model::explore::{counterexample, explore};
use model::lease::*;
fn main() {
    // ticks confirm slow lost vanish freeze stop rate
    let a: Vec<u32> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let base = if a[1] > 0 {
        worlds::vanishing(a[0])
    } else {
        worlds::true_store(a[0])
    };
    let t = Troubles {
        slow: a[2] as u8,
        lost: a[3] as u8,
        vanishing: a[4] as u8,
        freezes: a[5] as u8,
        stops: a[6] as u8,
    };
    let bounds = Bounds {
        troubles: t,
        rates: if a[7] > 0 {
            vec![[a[7], 1000]]
        } else {
            worlds::RATES.into()
        },
        ..base
    };
    if std::env::var("CX").is_ok() {
        match counterexample(LeaseModel::new(bounds)) {
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
    println!("{}", explore(LeaseModel::new(bounds)));
}
