//! Who gets how many calls.

use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

/// How far a share may be off, of 10,000 calls: 2 % of them.
const OFF: f64 = 200.0;

fn wanted(hosts: &[Host], calls: usize) -> impl Iterator<Item = (&str, f64)> {
    let sum: u32 = hosts.iter().map(|host| host.weight).sum();
    hosts.iter().map(move |host| (host.id.as_str(), f64::from(host.weight) / f64::from(sum) * calls as f64))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn weights_hold_within_two_per_cent_with_each_policy(weights in prop::collection::vec(prop_oneof![0_u32..5, Just(100), 1_u32..1000], 1..12)) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let hosts: Vec<Host> = weights.iter().enumerate().map(|(id, weight)| host(id, *weight)).collect();
        for policy in POLICIES {
            let counts = counted(&build(&hosts, policy), 10_000, Moment::now());
            for (id, wanted) in wanted(&hosts, 10_000) {
                let count = counts.get(id).copied().unwrap_or_default() as f64;
                prop_assert!((count - wanted).abs() <= OFF && (wanted > 0.0 || count == 0.0), "{}: {} got {} for {}", policy, id, count, wanted);
            }
        }
    }
}

#[test]
fn a_canary_gets_its_share_to_within_a_fiftieth_of_it_also_if_it_is_faster_and_calls_overlap() {
    let hosts: Vec<Host> = (0..9).map(|id| host(id, 100)).chain([host("canary", 10), host("other", 45)]).collect();
    for policy in &POLICIES[..2] {
        let candidates = build(&hosts, policy);
        let (mut now, mut calls, mut canary) = (Moment::now(), std::collections::VecDeque::new(), 0);
        for _ in 0..10_000 {
            now = now + Duration::from_micros(100);
            if calls.len() == 16 {
                let (call, is_canary): (crate::selector::Call, bool) = calls.pop_front().expect("16 calls");
                // The canary has answered long before.
                call.finish_at(Outcome::Success, if is_canary { now } else { now + Duration::from_millis(1) });
            }
            let choice = candidates.choose_at(None, &Tried::default(), now).expect("all are ready");
            let is_canary = choice.value.id == "canary";
            canary += usize::from(is_canary);
            calls.push_back((choice.begin_at(now), is_canary));
        }
        let due = 10_000.0 * 10.0 / 955.0;
        assert!((f64::from(canary as u32) - due).abs() <= (due / 50.0).max(3.0), "{policy}: {canary} for {due}");
    }
}

#[test]
fn round_robin_is_exact_over_threads() {
    let hosts = [host("a", 50), host("b", 30), host("c", 20), host("d", 1)];
    let candidates = build(&hosts, "policy = \"round-robin\"");
    let (threads, each) = (4, 101 * 25);
    let barrier = Barrier::new(threads);
    let counts: Vec<_> = thread::scope(|scope| {
        let run = || {
            barrier.wait();
            counted(&candidates, each, Moment::now())
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().expect("it ends")).collect()
    });
    for host in &hosts {
        let count: usize = counts.iter().filter_map(|counts| counts.get(&host.id)).sum();
        assert_eq!(count, host.weight as usize * 100, "{}", host.id);
    }
}

#[test]
fn round_robin_goes_on_where_it_was_when_the_list_is_told_again() {
    let hosts = hosts(5);
    let mut candidates = build(&hosts, "policy = \"round-robin\"");
    let mut counts = BTreeMap::new();
    for _ in 0..100 {
        candidates = Candidates::build(hosts.iter().cloned(), candidates.rules(), Some(&candidates));
        *counts.entry(next(&candidates, Moment::now())).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count == 20), "{counts:?}");
}

#[test]
fn round_robin_shares_the_calls_of_one_that_is_left_alone_among_all_others() {
    let candidates = build(&hosts(5), "policy = \"round-robin\"");
    let now = Moment::now();
    break_target(&candidates, "2", now);
    let mut counts = BTreeMap::new();
    (0..400).for_each(|_| *counts.entry(next(&candidates, now)).or_insert(0) += 1);
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), ["0", "1", "3", "4"].map(|id| (id.to_owned(), 100)));
}

#[test]
fn two_choices_leave_out_who_is_slow_and_come_back_when_it_is_not() {
    let candidates = build(&hosts(3), "");
    let (mut now, slow) = (Moment::now(), Duration::from_millis(200));
    let round = |calls, now: &mut Moment, slow: Duration| {
        let mut count = 0;
        for _ in 0..calls {
            let choice = candidates.choose_at(None, &Tried::default(), *now).expect("all are ready");
            let is_slow = choice.value.id == "1";
            count += u32::from(is_slow);
            let call = choice.begin_at(*now);
            let latency = if is_slow { slow } else { Duration::from_millis(2) };
            *now = *now + Duration::from_millis(2);
            call.finish_at(Outcome::Success, *now + latency);
        }
        count
    };
    let while_slow = round(3000, &mut now, slow);
    assert!(while_slow < 60, "{while_slow}");
    now = now + Duration::from_secs(60);
    let after = round(3000, &mut now, Duration::from_millis(2));
    assert!(after > 500, "{after}");
}

#[test]
fn calls_in_flight_count_where_nothing_has_been_measured() {
    for policy in [POLICIES[0], POLICIES[3]] {
        let (candidates, now) = (build(&hosts(4), policy), Moment::now());
        let mut calls = Vec::new();
        for _ in 0..400 {
            calls.push(candidates.choose_at(None, &Tried::default(), now).expect("all are ready").begin_at(now));
        }
        for target in candidates.targets() {
            let in_flight = target.figures().in_flight;
            assert!((85..=115).contains(&in_flight), "{policy}: {in_flight}");
        }
        drop(calls);
        assert!(candidates.targets().iter().all(|target| target.figures().in_flight == 0));
    }
}

#[test]
fn who_refuses_for_too_much_work_gets_less_and_stays() {
    let (candidates, mut now) = (build(&hosts(2), ""), Moment::now());
    counted(&candidates, 100, now);
    let mut refused = 0;
    for _ in 0..1000 {
        let choice = candidates.choose_at(None, &Tried::default(), now).expect("both are ready");
        let is_full = choice.value.id == "0";
        refused += u32::from(is_full);
        let call = choice.begin_at(now);
        now = now + Duration::from_millis(1);
        call.finish_at(if is_full { Outcome::Overload } else { Outcome::Success }, now);
    }
    assert!(refused < 50, "{refused}");
    assert_eq!(candidates.targets()[0].figures().standing, crate::selector::Standing::Good);
    let later = counted(&candidates, 1000, now + Duration::from_secs(60));
    assert!(later["0"] > 300, "{later:?}");
}

#[test]
fn none_is_chosen_that_is_not_ready_not_asked_for_or_has_no_weight() {
    let mut hosts = hosts(5);
    hosts[0].ready = false;
    hosts[1].weight = 0;
    hosts[2].version = "2.0.0";
    let candidates = build(&hosts, "version = \"^1\"");
    let counts = counted(&candidates, 1000, Moment::now());
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["3", "4"]);
    let summary = candidates.summary();
    assert_eq!((summary.listed, summary.admitted, summary.ready, summary.open), (5, 4, 2, 2));
    assert!(build(&hosts[1..2], "").choose(None, &Tried::default()).is_none());
    assert!(build(&[], "").choose(None, &Tried::default()).is_none());
}

#[test]
fn where_none_is_ready_all_that_have_a_weight_are_chosen_from() {
    let mut hosts = hosts(4);
    hosts[..3].iter_mut().for_each(|host| host.ready = false);
    hosts[0].weight = 0;
    let counts = counted(&build(&hosts, ""), 100, Moment::now());
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["3"], "it is ready");
    let candidates = build(&hosts[..3], "");
    assert_eq!((candidates.summary().ready, candidates.summary().open), (0, 2));
    let counts = counted(&candidates, 100, Moment::now());
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn a_new_list_keeps_what_was_seen_of_those_that_are_in_it_still() {
    let now = Moment::now();
    let before = build(&hosts(3), "");
    break_target(&before, "1", now);
    let after = Candidates::build(hosts(4).into_iter().rev(), before.rules(), Some(&before));
    let standing = |id: &str| after.targets().iter().find(|target| target.value.id == id).map(|target| target.gauge.standing(now));
    assert_eq!(standing("1"), Some(crate::selector::Standing::Open));
    assert_eq!(standing("3"), Some(crate::selector::Standing::Good));
}

#[test]
fn methods_that_only_some_serve_take_turns_of_their_own_and_see_what_the_others_see() {
    let all = build(&hosts(4), POLICIES[1]);
    let (mut one, mut other) =
        (Candidates::some_of(&all, hosts(2), all.rules(), Some(&all)), Candidates::some_of(&all, hosts(2), all.rules(), None));
    let (mut counts, now) = (BTreeMap::new(), Moment::now());
    for _ in 0..100 {
        *counts.entry(("one", next(&one, now))).or_insert(0) += 1;
        *counts.entry(("other", next(&other, now))).or_insert(0) += 1;
        one = Candidates::some_of(&all, hosts(2), all.rules(), Some(&one));
        other = Candidates::some_of(&all, hosts(2), all.rules(), Some(&other));
    }
    assert!(counts.len() == 4 && counts.values().all(|count| *count == 50), "{counts:?}");
    break_target(&one, "1", now);
    assert_eq!((next(&other, now), next(&other, now)), ("0".to_owned(), "0".to_owned()));
    // By other rules of the breaker nothing is shared but what was seen by the same ones.
    let strict = rules("breaker = { failures = 1 }");
    let before = Candidates::some_of(&all, hosts(2), &strict, None);
    before.choose_at(None, &Tried::default(), now).expect("both are ready").begin_at(now).finish_at(Outcome::Failure, now);
    let after = Candidates::some_of(&all, hosts(2), &strict, Some(&before));
    let open = |list: &Candidates<Host>| {
        list.targets().iter().filter(|target| target.gauge.standing(now) != crate::selector::Standing::Good).count()
    };
    assert_eq!((open(&before), open(&after), open(&all)), (1, 1, 1));
}
