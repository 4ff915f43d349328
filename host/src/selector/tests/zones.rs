//! The own zone comes first, as far as it suffices.

use super::*;

fn zones(near: usize, far: usize) -> Vec<Host> {
    let mut hosts = hosts(near + far);
    hosts[near..].iter_mut().for_each(|host| host.zone = "b");
    hosts
}

/// How many of the calls stay in the zone of the first so many hosts.
fn stay(candidates: &Candidates<Host>, near: usize, calls: usize, now: Moment) -> usize {
    let counts = counted(candidates, calls, now);
    counts.iter().filter(|(id, _)| id.parse::<usize>().is_ok_and(|id| id < near)).map(|(_, count)| count).sum()
}

#[test]
fn calls_stay_in_the_own_zone() {
    for policy in POLICIES {
        assert_eq!(stay(&build(&zones(2, 8), policy), 2, 1000, Moment::now()), 1000, "{policy}");
        let off = build(&zones(2, 8), &format!("{policy}\nprefer-zone = false"));
        assert!((150..250).contains(&stay(&off, 2, 1000, Moment::now())), "{policy}");
    }
}

#[test]
fn what_a_zone_is_not_ready_for_goes_elsewhere() {
    for (unready, kept) in [(1, 1000), (2, 1000), (5, 700), (8, 280), (10, 0)] {
        let mut hosts = zones(10, 5);
        hosts[..unready].iter_mut().for_each(|host| host.ready = false);
        let stay = stay(&build(&hosts, "policy = \"round-robin\""), 10, 1000, Moment::now());
        assert!(stay.abs_diff(kept) <= 5, "{unready} of 10 not ready: {stay} for {kept}");
    }
}

#[test]
fn calls_go_elsewhere_while_a_zone_is_left_alone() {
    for policy in POLICIES {
        let (candidates, now) = (build(&zones(2, 3), policy), Moment::now());
        ["0", "1"].iter().for_each(|id| break_target(&candidates, id, now));
        assert_eq!(stay(&candidates, 2, 500, now), 0, "{policy}");
    }
}

#[test]
fn another_try_leaves_the_zone_once_all_of_it_has_been_tried() {
    for policy in POLICIES {
        let (candidates, now) = (build(&zones(1, 3), policy), Moment::now());
        let mut tried = Tried::default();
        for count in 0..4 {
            let choice = candidates.choose_at(None, &tried, now).expect("all are ready");
            assert_eq!((choice.value.zone == "a", tried.has(&choice)), (count == 0, false), "{policy}");
            tried.add(&choice);
        }
    }
}

#[test]
fn a_zone_that_is_slower_by_far_gives_calls_away() {
    let (candidates, mut now) = (build(&zones(1, 2), ""), Moment::now());
    // The others are measured once the own one has more calls than it should.
    let mut near = 0;
    for n in 0..2000 {
        let choice = candidates.choose_at(None, &Tried::default(), now).expect("all are ready");
        let is_near = choice.value.zone == "a";
        near += usize::from(n >= 1000 && is_near);
        let mut call = choice.begin_at(now);
        call.answered_at(now + Duration::from_millis(if is_near { 500 } else { 2 }));
        if n < 40 {
            std::mem::forget(call);
        }
        now = now + Duration::from_millis(1);
    }
    assert!(near < 100, "{near}");
}

#[test]
fn the_keys_of_a_zone_that_spills_are_always_the_same_ones() {
    let mut hosts = zones(4, 4);
    hosts[..2].iter_mut().for_each(|host| host.ready = false);
    let candidates = build(&hosts, "hash-by = \"user-id\"");
    let of_key = |key: usize| candidates.choose(Some(&key.to_string()), &Tried::default()).expect("some are ready").value.id.clone();
    let near = (0..1000).filter(|key| of_key(*key).parse::<usize>().is_ok_and(|id| id < 4)).count();
    assert!((650..750).contains(&near), "{near}");
    assert!((0..1000).all(|key| of_key(key) == of_key(key)));
}
