//! Targets that fail, and tries that go elsewhere.

use super::*;
use crate::selector::Standing;

fn standing(candidates: &Candidates<Host>, id: &str, now: Moment) -> Standing {
    candidates.targets().iter().find(|target| target.value.id == id).expect("it is listed").gauge.standing(now)
}

#[test]
fn one_that_fails_is_left_alone_and_comes_back_by_itself() {
    for policy in POLICIES {
        let (candidates, mut now) = (build(&hosts(3), policy), Moment::now());
        let call = |now: &mut Moment, is_down: bool| {
            let choice = candidates.choose_at(None, &Tried::default(), *now).expect("some are ready");
            let chosen = choice.value.id == "1";
            let call = choice.begin_at(*now);
            *now = *now + Duration::from_millis(1);
            call.finish_at(if chosen && is_down { Outcome::Failure } else { Outcome::Success }, *now);
            chosen
        };
        counted(&candidates, 100, now);
        let down: usize = (0..10_000).map(|_| usize::from(call(&mut now, true))).sum();
        // Five until it opens, and in ten seconds after pauses of 1, 2 and 4 seconds up to 3 probes.
        assert!((5..=20).contains(&down), "{policy}: {down}");
        now = now + Duration::from_secs(60);
        let up: usize = (0..1000).map(|_| usize::from(call(&mut now, false))).sum();
        assert!(up > 200, "{policy}: {up}");
        assert_eq!(standing(&candidates, "1", now), Standing::Good);
    }
}

#[test]
fn another_try_goes_to_another_one_and_only_then_to_the_same_again() {
    for policy in POLICIES {
        let (candidates, now) = (build(&hosts(5), policy), Moment::now());
        for _ in 0..50 {
            let mut tried = Tried::default();
            let mut ids = std::collections::BTreeSet::new();
            for _ in 0..5 {
                let choice = candidates.choose_at(None, &tried, now).expect("all are ready");
                assert!(ids.insert(choice.value.id.clone()), "{policy}: {ids:?} again");
                tried.add(&choice);
            }
            assert!(candidates.choose_at(None, &tried, now).is_some(), "{policy}");
            assert_eq!(tried.count(), 5);
        }
    }
}

#[test]
fn one_that_was_tried_comes_before_those_that_are_left_alone() {
    for policy in POLICIES {
        let (candidates, now) = (build(&hosts(3), policy), Moment::now());
        ["0", "1"].iter().for_each(|id| break_target(&candidates, id, now));
        let mut tried = Tried::default();
        tried.add(&candidates.targets()[2]);
        for _ in 0..20 {
            assert_eq!(candidates.choose_at(None, &tried, now).expect("some are listed").value.id, "2");
        }
    }
}

#[test]
fn if_all_are_left_alone_all_are_used() {
    for policy in POLICIES {
        let (candidates, now) = (build(&hosts(4), policy), Moment::now());
        (0..4).for_each(|id| break_target(&candidates, &id.to_string(), now));
        let mut counts = BTreeMap::new();
        (0..400).for_each(|_| *counts.entry(next(&candidates, now)).or_insert(0) += 1);
        assert!(counts.len() == 4 && counts.values().all(|count| *count > 50), "{policy}: {counts:?}");
        // They answer, so they are back before their pauses are over.
        for _ in 0..100 {
            let choice = candidates.choose_at(None, &Tried::default(), now).expect("some are listed");
            choice.begin_at(now).finish_at(Outcome::Success, now);
        }
        assert!((0..4).any(|id| standing(&candidates, &id.to_string(), now) == Standing::Good));
    }
}

#[test]
fn the_last_good_one_of_many_is_found() {
    let (candidates, now) = (build(&hosts(500), ""), Moment::now());
    (0..500).filter(|id| *id != 321).for_each(|id| break_target(&candidates, &id.to_string(), now));
    for _ in 0..100 {
        assert_eq!(next(&candidates, now), "321");
    }
}

#[test]
fn no_more_probes_than_are_allowed_are_under_way_at_once_and_what_is_dropped_is_given_back() {
    let (candidates, now) = (build(&hosts(2), "breaker = { probes = 2 }"), Moment::now());
    break_target(&candidates, "0", now);
    let later = now + Duration::from_secs(2);
    for _ in 0..3 {
        let calls: Vec<_> = (0..100)
            .map(|_| candidates.choose_at(None, &Tried::default(), later).expect("one is good"))
            .map(|choice| (choice.value.id == "0", choice.begin_at(later)))
            .collect();
        assert_eq!(calls.iter().filter(|(probe, _)| *probe).count(), 2);
    }
    let choices: Vec<_> = (0..100).filter_map(|_| candidates.choose_at(None, &Tried::default(), later)).collect();
    assert_eq!(choices.iter().filter(|choice| choice.value.id == "0").count(), 2);
    drop(choices);
    assert_eq!(standing(&candidates, "0", later), Standing::Probed);
}

#[test]
fn a_call_that_is_given_up_is_neither_a_success_nor_a_failure() {
    let (candidates, now) = (build(&hosts(1), ""), Moment::now());
    for _ in 0..100 {
        drop(candidates.choose_at(None, &Tried::default(), now).expect("it is ready").begin_at(now));
    }
    let figures = candidates.targets()[0].figures();
    assert_eq!((figures.in_flight, figures.successes, figures.failures, figures.standing), (0, 0, 0, Standing::Good));
}

#[test]
fn a_stream_is_measured_by_its_first_answer() {
    let (candidates, now) = (build(&hosts(1), ""), Moment::now());
    let mut call = candidates.choose_at(None, &Tried::default(), now).expect("it is ready").begin_at(now);
    let soon = now + Duration::from_millis(5);
    call.answered_at(soon);
    call.finish_at(Outcome::Success, soon + Duration::from_secs(1));
    let latency = candidates.targets()[0].gauge.figures(soon).latency.expect("it has been measured");
    assert!(latency > Duration::from_millis(4) && latency < Duration::from_millis(6), "{latency:?}");
}

/// So many calls to each in turn, of which these fail.
fn calls(candidates: &Candidates<Host>, each: usize, fails: impl Fn(&str, usize) -> bool, now: Moment) {
    for target in candidates.targets() {
        for n in 0..each {
            let outcome = if fails(&target.value.id, n) { Outcome::Failure } else { Outcome::Success };
            crate::selector::Call::begin(&target.gauge, None, crate::selector::breaker::Pass::Free, now).finish_at(outcome, now);
        }
    }
}

#[test]
fn one_that_is_worse_than_the_others_by_far_is_left_alone_for_a_while() {
    for count in [3, 5, 30] {
        let (candidates, start) = (build(&hosts(count), ""), Moment::now());
        let now = start + Duration::from_secs(11);
        // A quarter, spread: no breaker opens for that.
        calls(&candidates, 200, |id, n| id == "1" && n % 4 == 0, now);
        next(&candidates, now);
        assert_eq!(standing(&candidates, "1", now), Standing::Ejected, "of {count}");
        assert!(counted(&candidates, 100, now).keys().all(|id| id != "1"));
        assert_eq!(standing(&candidates, "1", now + Duration::from_secs(46)), Standing::Good);
    }
}

#[test]
fn if_all_are_alike_bad_none_is_an_outlier() {
    let candidates = build(&hosts(5), "");
    let now = Moment::now() + Duration::from_secs(11);
    calls(&candidates, 200, |_, n| n % 4 == 0, now);
    next(&candidates, now);
    assert!((0..5).all(|id| standing(&candidates, &id.to_string(), now) == Standing::Good));
}

#[test]
fn no_more_outliers_than_are_allowed_are_left_alone_at_once() {
    for (most, of_twenty) in [("0%", 0), ("1%", 1), ("10%", 2), ("25%", 5), ("100%", 8)] {
        let candidates = build(&hosts(20), &format!("outliers = {{ most = \"{most}\" }}"));
        let now = Moment::now() + Duration::from_secs(11);
        calls(&candidates, 200, |id, n| id.parse::<usize>().is_ok_and(|id| id < 8) && n % 3 == 0, now);
        next(&candidates, now);
        let ejected = (0..20).filter(|id| standing(&candidates, &id.to_string(), now) == Standing::Ejected).count();
        assert_eq!(ejected, of_twenty, "{most}");
    }
}

#[test]
fn an_outlier_is_found_although_the_list_changes_all_the_time() {
    let mut candidates = build(&hosts(4), "");
    let start = Moment::now();
    for second in 0..12 {
        let now = start + Duration::from_secs(second);
        candidates = Candidates::build(hosts(4), candidates.rules(), Some(&candidates));
        calls(&candidates, 50, |id, n| id == "1" && n % 4 == 0, now);
        next(&candidates, now);
    }
    assert_eq!(standing(&candidates, "1", start + Duration::from_secs(12)), Standing::Ejected);
}
