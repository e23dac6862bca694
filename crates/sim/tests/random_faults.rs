//! Safe under faults, and heals when they stop: two and three nodes, clocks that run at different
//! rates within the margin, many seeds.

use pintle_sim::faults::heal;
use pintle_sim::invariants::finally_one_holder;
use pintle_sim::world::{MS, World};

/// Clocks up to 2 x 12 % apart are outside it.
const OUTSIDE_PPM: u64 = 120_000;

/// Two clocks that differ by 2 x 3.5 % are inside the margin of (2500 - 2300) / 2500 = 8 %.
const DRIFT_PPM: u64 = 35_000;

fn run(seed: u64, size: usize, drift_ppm: u64) -> Result<(), String> {
    let mut world = World::new(seed, size, drift_ppm);
    world.run_until(60_000 * MS)?;
    world.calm = true;
    heal(&mut world);
    // A pause of 10 s may just have begun, a process may just end; and a Lease edited to an absurd
    // duration is waited for, a minute at the most.
    world.run_until(75_000 * MS)?;
    heal(&mut world);
    world.run_until(140_000 * MS)?;
    finally_one_holder(&world)
}

fn run_all(size: usize, seeds: std::ops::Range<u64>) {
    let seeds = match std::env::var("SIM_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => seeds,
    };
    let failed: Vec<String> = seeds
        .filter_map(|seed| {
            run(seed, size, DRIFT_PPM).err().map(|what| format!("SIM_SEED={seed}: {what}"))
        })
        .take(5)
        .collect();
    assert!(failed.is_empty(), "{size} nodes\n{}", failed.join("\n"));
}

#[test]
fn two_nodes() {
    run_all(2, 0..200);
}

#[test]
fn three_nodes() {
    run_all(3, 10_000..10_200);
}

#[test]
fn five_nodes() {
    run_all(5, 20_000..20_040);
}

/// The checker sees two holders when there are two: with clocks outside the margin there must be.
#[test]
fn clocks_outside_the_margin_are_caught() {
    let found = (0..200).filter_map(|seed| run(seed, 3, OUTSIDE_PPM).err());
    assert!(found.into_iter().any(|what| what.contains("entitled at once")));
}
