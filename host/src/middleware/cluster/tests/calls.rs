//! Calls that fail, and those that may be tried again.

use futures::future::join_all;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_slow_call_that_is_not_idempotent_runs_once() {
    for does in [Does::Breaks(5_000), Does::Hangs, Does::Fails(Code::Unavailable), Does::Fails(Code::Internal)] {
        let shop = Shop::with(&["a", "b", "c"], "try-timeout = \"1s\"\nhedge-after = \"10ms\"").await;
        shop.all_do(does);
        shop.call("Put").await.expect_err("it fails");
        assert_eq!(shop.sum(|host| &host.seen), 1, "{does:?}");
    }
    let shop = Shop::with(&["a", "b", "c"], "try-timeout = \"1s\"\nhedge-after = \"10ms\"").await;
    shop.all_do(Does::Answers(9_000));
    shop.call("Put").await.expect("it takes its time");
    assert_eq!(shop.sum(|host| &host.seen), 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_killed_fails_no_idempotent_call_and_one_that_is_not_reached_fails_none() {
    let shop = Shop::with(&["a", "b", "c"], "").await;
    shop.hosts["a"].does(Does::Breaks(1));
    let calls = join_all((0..300).map(|_| shop.call("Get"))).await;
    assert!(calls.iter().all(Result::is_ok));
    shop.hosts["a"].does(Does::Refuses);
    shop.hosts["b"].does(Does::Refuses);
    let seen = shop.hosts["c"].seen.load(Relaxed);
    for _ in 0..50 {
        assert_eq!(shop.call("Put").await.expect("one host is there"), "c");
    }
    assert_eq!(shop.hosts["c"].seen.load(Relaxed), seen + 50);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_drops_packets_costs_a_try_and_no_more() {
    let shop = Shop::with(&["a", "b"], "try-timeout = \"500ms\"").await;
    shop.hosts["a"].does(Does::Hangs);
    for _ in 0..10 {
        let began = now();
        shop.call("Get").await.expect("the other one answers");
        assert!(now() - began <= Duration::from_millis(500));
    }
    assert!(shop.hosts["a"].dropped.load(Relaxed) > 0, "its calls were canceled");
}

#[tokio::test(start_paused = true)]
async fn without_a_setting_a_try_leaves_time_for_others() {
    let shop = Shop::with(&["a", "b"], "").await;
    shop.hosts["a"].does(Does::Hangs);
    for _ in 0..10 {
        let began = now();
        shop.call("Get").await.expect("the other one answers");
        assert!(now() - began <= Duration::from_millis(2_500));
    }
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_holds_through_all_tries() {
    let shop = Shop::with(&["a", "b", "c"], "tries = 10").await;
    for (does, method) in [(Does::Hangs, "Get"), (Does::Hangs, "Put"), (Does::Breaks(300), "Get"), (Does::Sheds, "Put")] {
        shop.all_do(does);
        let began = now();
        shop.call_within(&format!("/shop.Stock/{method}"), Some(1_000)).await.expect_err("nobody answers");
        assert!(now() - began <= Duration::from_millis(1_001), "{does:?}: {:?}", now() - began);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_callee_is_its_answer() {
    let shop = Shop::with(&["a", "b", "c"], "").await;
    for code in [Code::NotFound, Code::Internal, Code::ResourceExhausted, Code::Aborted] {
        shop.all_do(Does::Fails(code));
        let seen = shop.sum(|host| &host.seen);
        assert_eq!(shop.call("Get").await.expect_err("its own").code(), code);
        assert_eq!(shop.sum(|host| &host.seen), seen + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_fails_is_not_buried_under_tries() {
    let shop = Shop::with(&["a", "b", "c"], "").await;
    shop.all_do(Does::Fails(Code::Unavailable));
    for _ in 0..1_000 {
        shop.call("Get").await.expect_err("none is well");
    }
    // 20 % of a thousand, and ten a second for the ten seconds that count.
    assert_eq!(shop.sum(|host| &host.seen), 1_000 + 200 + 100);
    let stats = shop.stats.callee("shop.Stock");
    assert_eq!((stats.calls.load(Relaxed), stats.retries.load(Relaxed)), (1_000, 300));
    assert!(stats.over_budget.load(Relaxed) >= 700);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_met_nobody_is_at_nobodys_expense() {
    let shop = Shop::with(&["a", "b", "c"], "").await;
    shop.all_do(Does::Refuses);
    for _ in 0..1_000 {
        shop.call("Put").await.expect_err("nobody is there");
    }
    // Whoever is back first answers all calls, also those that first meet one who is not.
    shop.hosts["b"].does(Does::Answers(0));
    for _ in 0..1_000 {
        assert_eq!(shop.call("Put").await.expect("one is there"), "b");
    }
    assert_eq!(shop.stats.callee("shop.Stock").over_budget.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_shed_is_not_tried_again_at_once() {
    let shop = Shop::with(&["a", "b"], "backoff = \"1s\"\nmax-backoff = \"1s\"").await;
    shop.all_do(Does::Sheds);
    let began = now();
    assert_eq!(shop.call("Put").await.expect_err("all are busy").code(), Code::ResourceExhausted);
    assert_eq!(shop.sum(|host| &host.came), 3);
    let took = now() - began;
    assert!(took > Duration::from_millis(1) && took <= Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn of_many_hosts_that_have_gone_no_few_fail_a_call() {
    let names: Vec<String> = (0..30).map(|host| format!("host-{host}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shop = Shop::with(&names, "").await;
    shop.all_do(Does::Refuses);
    shop.call("Put").await.expect_err("nobody is there");
    assert_eq!(shop.sum(|host| &host.came), 3 + 8, "there is a bound all the same");
    let once = Shop::with(&names, "tries = 1").await;
    once.all_do(Does::Refuses);
    once.call("Put").await.expect_err("nobody is there");
    assert_eq!(once.sum(|host| &host.came), 1);
}

#[tokio::test(start_paused = true)]
async fn another_node_is_tried_at_once_and_the_same_after_a_pause() {
    let shop = Shop::with(&["a", "b", "c"], "backoff = \"1s\"\nmax-backoff = \"1s\"").await;
    shop.all_do(Does::Refuses);
    let began = now();
    shop.call("Put").await.expect_err("nobody is there");
    assert_eq!((now() - began, shop.hosts.values().all(|host| host.came.load(Relaxed) == 1)), (Duration::ZERO, true));
    let shop = Shop::with(&["a"], "backoff = \"1s\"\nmax-backoff = \"1s\"").await;
    shop.all_do(Does::Refuses);
    shop.call("Put").await.expect_err("nobody is there");
    assert!(now() - began > Duration::ZERO);
    assert_eq!(shop.hosts["a"].came.load(Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_takes_the_first_answer_and_cancels_the_other_call() {
    let shop = Shop::with(&["a", "b"], "hedge-after = \"20ms\"").await;
    shop.hosts["a"].does(Does::Answers(5_000));
    for _ in 0..20 {
        let began = now();
        assert_eq!(shop.call("Get").await.expect("the quick one"), "b");
        assert!(now() - began <= Duration::from_millis(20));
    }
    let [_, seen, answered, dropped] = shop.hosts["a"].counts();
    assert!(answered == 0 && seen > 0 && dropped == seen);
    assert_eq!(shop.stats.callee("shop.Stock").hedges.load(Relaxed), seen as u64);
}

#[tokio::test(start_paused = true)]
async fn one_try_is_one_try() {
    let shop = Shop::with(&["a", "b"], "[\"shop.Stock/Get\"]\ntries = 1").await;
    shop.all_do(Does::Refuses);
    shop.call("Get").await.expect_err("nobody is there");
    assert_eq!(shop.sum(|host| &host.came), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_leaves_nothing_behind() {
    let shop = Shop::with(&["a", "b"], "hedge-after = \"1ms\"").await;
    shop.all_do(Does::Hangs);
    let waited = tokio::time::timeout(Duration::from_millis(100), shop.call("Get")).await;
    assert!(waited.is_err());
    assert_eq!((shop.sum(|host| &host.seen), shop.sum(|host| &host.dropped)), (2, 2));
}
