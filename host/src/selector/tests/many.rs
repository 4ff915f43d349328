//! Which of very many are called.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use super::*;
use crate::selector::{Call, Stand};

/// What one thread calls in any case, of 64 for all.
fn fewest() -> usize {
    64_usize.div_ceil(available_parallelism().map_or(1, NonZeroUsize::get)).max(4)
}

/// Keeps so many calls under way, and tells whom new ones went to, `calls` of them.
fn at_once(candidates: &Candidates<Host>, under_way: usize, calls: usize, now: &mut Moment) -> BTreeSet<String> {
    let (mut open, mut met) = (VecDeque::<Call>::new(), BTreeSet::new());
    for _ in 0..calls {
        if open.len() == under_way {
            open.pop_front().expect("some are under way").finish_at(Outcome::Success, *now);
        }
        *now = *now + Duration::from_micros(10);
        let choice = candidates.choose_at(None, &Tried::default(), *now).expect("all are ready");
        met.insert(choice.value.id.clone());
        open.push_back(choice.begin_at(*now));
    }
    for call in open {
        call.finish_at(Outcome::Success, *now);
    }
    met
}

#[test]
fn with_little_to_do_few_of_many_are_called_and_those_of_a_short_list_all() {
    let called = |count, text: &str| counted(&build(&hosts(count), text), 5_000, Moment::now()).len();
    assert_eq!((called(64, ""), called(1_000, ""), called(10_000, "")), (64, fewest(), fewest()));
    assert_eq!(called(1_000, "policy = \"least-in-flight\""), fewest());
    assert_eq!((called(300, "subset = 300"), called(300, "policy = \"round-robin\"")), (300, 300));
}

#[test]
fn more_are_called_the_more_there_is_to_do_and_fewer_again() {
    let (candidates, mut now) = (build(&hosts(1_000), ""), Moment::now());
    at_once(&candidates, 400, 20_000, &mut now);
    let busy = at_once(&candidates, 400, 20_000, &mut now).len();
    assert!((200..=800).contains(&busy), "with 400 calls, two each, {busy} are called");
    at_once(&candidates, 5_000, 200_000, &mut now);
    assert_eq!(at_once(&candidates, 5_000, 200_000, &mut now).len(), 1_000, "that is more than two for each");
    at_once(&candidates, 1, 20_000, &mut now);
    assert_eq!(at_once(&candidates, 1, 20_000, &mut now).len(), fewest());
}

#[test]
fn callers_share_all_targets_out_evenly() {
    let (hosts, callers) = (hosts(1_000), 250);
    let mut counts = BTreeMap::new();
    for caller in 0..callers {
        let candidates = Candidates::build(hosts.iter().cloned(), &rules("").seen_from(Stand::of(caller, callers)), None);
        for id in counted(&candidates, 2_000, Moment::now()).into_keys() {
            *counts.entry(id).or_insert(0) += 1;
        }
    }
    let each = callers * fewest() / hosts.len();
    let extremes = (counts.len(), counts.values().min(), counts.values().max());
    assert!(extremes.0 == hosts.len() && extremes.1 >= Some(&(each - 1)) && extremes.2 <= Some(&(each + 1)), "{each}: {extremes:?}");
}

#[test]
fn shares_of_versions_and_weights_hold_for_each_caller() {
    let mut hosts = hosts(1_000);
    hosts[..50].iter_mut().for_each(|host| host.version = "2.0.0");
    hosts[50..70].iter_mut().for_each(|host| host.weight = 500);
    let of = |counts: &BTreeMap<String, usize>, some: &[Host]| some.iter().filter_map(|host| counts.get(&host.id)).sum::<usize>() as f64;
    let all = f64::from(100 * 980 + 500 * 20);
    for caller in 0..10 {
        let candidates = Candidates::build(hosts.iter().cloned(), &rules("").seen_from(Stand::of(caller, 10)), None);
        let counts = counted(&candidates, 10_000, Moment::now());
        for (some, weight) in [(&hosts[..50], 5_000.0), (&hosts[50..70], 10_000.0)] {
            let (count, due) = (of(&counts, some), weight / all * 10_000.0);
            assert!((count - due).abs() <= due / 50.0, "{caller}: {count} for {due}");
        }
    }
}

#[test]
fn where_all_that_a_lane_calls_are_left_alone_or_were_tried_others_are_called() {
    let (candidates, now) = (build(&hosts(1_000), ""), Moment::now());
    let near = counted(&candidates, 5_000, now);
    near.keys().for_each(|id| break_target(&candidates, id, now));
    for _ in 0..1_000 {
        assert!(!near.contains_key(&next(&candidates, now)));
    }
}

#[test]
fn a_part_stays_as_wide_as_it_was_when_the_list_is_told_again() {
    let (mut candidates, mut now) = (build(&hosts(1_000), ""), Moment::now());
    at_once(&candidates, 400, 40_000, &mut now);
    candidates = Candidates::build(hosts(1_001), candidates.rules(), Some(&candidates));
    assert!(at_once(&candidates, 400, 2_000, &mut now).len() > 2 * fewest());
}
