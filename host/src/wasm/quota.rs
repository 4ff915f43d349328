//! What one service may hold at once, over all its instances. Counted where it is taken, and given back
//! by whoever drops it, so that nothing that ends badly stays counted.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytesize::ByteSize;

use super::strain::Strain;
use crate::settings::{CpuShare, Limits};
use crate::stats::ServiceStats;
use crate::status::{Code, Status};

/// The computing that a service may do at once after it has done less than its share.
const CPU_BURST: Duration = Duration::from_millis(50);

/// A pause that ended longer ago than this has held up nobody who is told of it now.
const LATELY: Duration = Duration::from_secs(1);

/// One service's bounds over all its instances, and what it has taken of them.
pub struct Quota {
    name: Arc<str>,
    calls: usize,
    streams: usize,
    total_memory: usize,
    host_memory: usize,
    cpu: Option<Cpu>,
    /// Calls that compute a while.
    pub strain: Strain,
    stats: Arc<ServiceStats>,
}

impl Quota {
    /// The quota of the service with this name.
    pub fn new(name: Arc<str>, limits: &Limits, stats: Arc<ServiceStats>) -> Arc<Quota> {
        let Limits { calls, streams, total_memory, host_memory, cpu_share, .. } = *limits;
        Arc::new(Quota { name, calls, streams, total_memory, host_memory, cpu: Cpu::of(cpu_share), strain: Strain::new(), stats })
    }

    /// What is counted of the service.
    pub fn stats(&self) -> &Arc<ServiceStats> {
        &self.stats
    }

    /// What callers are told who come when a limit is reached.
    pub fn reached(&self, limit: &str, value: impl Display, higher: &str) -> Status {
        self.stats.refused.fetch_add(1, Relaxed);
        let name = &self.name;
        let message =
            format!("{name} has reached its limit {limit}, {value}; to raise it, write {limit} = {higher} in [service.{name}.limits]");
        Status::new(Code::ResourceExhausted, message)
    }

    /// Counts a call without streams, with arguments of this size.
    ///
    /// Fails with `resource_exhausted` where there are too many, or where too much is held already.
    pub fn call(self: &Arc<Quota>, arguments: usize) -> Result<Held, Status> {
        let mut held = self.hold(arguments)?;
        held.what = Some(What::Call);
        let calls = self.stats.calls.fetch_add(1, Relaxed);
        if unsigned(calls) >= self.calls {
            return Err(self.reached("calls", self.calls, &(self.calls.saturating_mul(2)).to_string()));
        }
        Ok(held)
    }

    /// Counts a call with streams.
    ///
    /// Fails with `resource_exhausted` where there are too many.
    pub fn stream(self: &Arc<Quota>) -> Result<Held, Status> {
        let held = Held { quota: Arc::clone(self), bytes: 0, what: Some(What::Stream) };
        let open = self.stats.streams.fetch_add(1, Relaxed);
        if unsigned(open) >= self.streams {
            return Err(self.reached("streams", self.streams, &(self.streams.saturating_mul(2)).to_string()));
        }
        Ok(held)
    }

    /// Counts bytes that the host holds for the service, until what is returned is dropped.
    ///
    /// Fails with `resource_exhausted` where it would be too much.
    pub fn hold(self: &Arc<Quota>, bytes: usize) -> Result<Held, Status> {
        if !self.take(bytes) {
            let higher = format!("{:?}", size(self.host_memory.saturating_mul(2)));
            return Err(self.reached("host-memory", size(self.host_memory), &higher));
        }
        Ok(Held { quota: Arc::clone(self), bytes, what: None })
    }

    /// Counts bytes that the host holds, if there is room for them; [`Quota::give_back`] them.
    pub fn take(&self, bytes: usize) -> bool {
        grow(&self.stats.host_memory_bytes, bytes, self.host_memory)
    }

    /// The bytes that there is room for at this moment.
    pub fn room(&self) -> usize {
        self.host_memory.saturating_sub(unsigned(self.stats.host_memory_bytes.load(Relaxed)))
    }

    /// What was taken is held no more.
    pub fn give_back(&self, bytes: usize) {
        self.stats.host_memory_bytes.fetch_sub(signed(bytes), Relaxed);
    }

    /// Counts linear memory of an instance, if there is room for it.
    pub fn take_memory(&self, bytes: usize) -> bool {
        let fits = grow(&self.stats.memory_bytes, bytes, self.total_memory);
        self.stats.refused.fetch_add(u64::from(!fits), Relaxed);
        fits
    }

    /// Linear memory of an instance is returned.
    pub fn return_memory(&self, bytes: usize) {
        self.stats.memory_bytes.fetch_sub(signed(bytes), Relaxed);
    }

    /// Whether another instance of the size that the others have would be too much.
    pub fn is_full_of(&self, instances: usize) -> bool {
        let held = unsigned(self.stats.memory_bytes.load(Relaxed));
        held.saturating_add(held.checked_div(instances).unwrap_or(0)) > self.total_memory
    }

    /// What callers are told who find no instance, since the service's memory has no room for another.
    pub fn full(&self) -> Status {
        self.reached("total-memory", size(self.total_memory), &format!("{:?}", size(self.total_memory.saturating_mul(2))))
    }

    /// Counts computing. How long the instance that did it has to pause, so that the service keeps within
    /// its share.
    pub fn computed(&self, time: Duration) -> Option<Duration> {
        self.stats.cpu_us.fetch_add(micros(time), Relaxed);
        let pause = self.cpu.as_ref()?.spend(time)?;
        self.stats.throttled_us.fetch_add(micros(pause), Relaxed);
        Some(pause)
    }

    /// Whether the service has computed as much as it may of late.
    fn is_throttled(&self) -> bool {
        self.cpu.as_ref().is_some_and(Cpu::has_waited)
    }

    /// What callers are told who waited in vain for a service that computes as much as it may.
    pub fn throttled(&self) -> Option<String> {
        let share = self.cpu.as_ref().filter(|_| self.is_throttled())?.share;
        let name = &self.name;
        Some(format!("{name} is held back by its limit cpu-share, {share}; to raise it, write cpu-share in [service.{name}.limits]"))
    }
}

/// A size as people write it, and as the settings read it.
fn size(bytes: usize) -> String {
    ByteSize::b(bytes as u64).display().iec().to_string()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// Adds to a gauge, unless it would go over the limit.
fn grow(gauge: &AtomicI64, by: usize, limit: usize) -> bool {
    let (by, limit) = (signed(by), signed(limit));
    let before = gauge.fetch_add(by, Relaxed);
    // What is only counted after it was taken may have gone over already; nothing more is no harm.
    if by > 0 && before.saturating_add(by) > limit {
        gauge.fetch_sub(by, Relaxed);
        return false;
    }
    true
}

enum What {
    Call,
    Stream,
}

/// What is counted, until it is dropped.
pub struct Held {
    quota: Arc<Quota>,
    bytes: usize,
    what: Option<What>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.quota.give_back(self.bytes);
        }
        match self.what {
            Some(What::Call) => drop(self.quota.stats.calls.fetch_sub(1, Relaxed)),
            Some(What::Stream) => drop(self.quota.stats.streams.fetch_sub(1, Relaxed)),
            None => {}
        }
    }
}

/// A share of the machine, kept by pauses. What was computed is paid for by time that passes: the moment
/// at which all is paid for moves on with each computing, and who is past it by more than a burst waits.
struct Cpu {
    share: CpuShare,
    millicores: u64,
    base: Instant,
    /// When all that was computed is paid for, in nanoseconds from `base`.
    paid: AtomicU64,
    /// When the last pause is over, in the same way.
    waits_until: AtomicU64,
}

impl Cpu {
    fn of(share: CpuShare) -> Option<Cpu> {
        share.millicores().map(|millicores| Cpu {
            share,
            millicores: millicores.into(),
            base: Instant::now(),
            paid: AtomicU64::new(0),
            waits_until: AtomicU64::new(0),
        })
    }

    fn spend(&self, time: Duration) -> Option<Duration> {
        self.spend_at(self.now(), time)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn has_waited(&self) -> bool {
        let until = self.waits_until.load(Relaxed);
        until > 0 && self.now() < until.saturating_add(u64::try_from(LATELY.as_nanos()).unwrap_or(u64::MAX))
    }

    fn spend_at(&self, now: u64, time: Duration) -> Option<Duration> {
        let burst = u64::try_from(CPU_BURST.as_nanos()).unwrap_or(u64::MAX);
        let price = u64::try_from(time.as_nanos() * 1000 / u128::from(self.millicores)).unwrap_or(u64::MAX);
        let pay = |paid: u64| Some(paid.max(now).saturating_add(price));
        let paid = self.paid.fetch_update(Relaxed, Relaxed, pay).unwrap_or(now).max(now).saturating_add(price);
        let ahead = (paid - now).saturating_sub(burst);
        (ahead > 0).then(|| {
            self.waits_until.fetch_max(now.saturating_add(ahead), Relaxed);
            Duration::from_nanos(ahead)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(limits: Limits) -> (Arc<Quota>, Arc<ServiceStats>) {
        let stats = Arc::new(ServiceStats::default());
        (Quota::new("greedy".into(), &limits, Arc::clone(&stats)), stats)
    }

    #[test]
    fn whoever_is_refused_is_told_which_limit_of_which_service_and_what_to_write() {
        let (quota, stats) = quota(Limits { calls: 1, host_memory: 1 << 20, ..Limits::default() });
        let call = quota.call(10).expect("the first");
        let refused = quota.call(10).expect_err("the second");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(refused.message(), "greedy has reached its limit calls, 1; to raise it, write calls = 2 in [service.greedy.limits]");
        let refused = quota.hold(1 << 20).expect_err("too much").message().to_owned();
        assert_eq!(
            refused,
            "greedy has reached its limit host-memory, 1.0 MiB; to raise it, write host-memory = \"2.0 MiB\" in [service.greedy.limits]"
        );
        assert_eq!(stats.refused.load(Relaxed), 2);
        drop(call);
        assert_eq!((stats.calls.load(Relaxed), stats.host_memory_bytes.load(Relaxed)), (0, 0));
        quota.call(10).expect("there is room again");
    }

    #[test]
    fn memory_of_all_instances_is_bounded_together() {
        let (quota, stats) = quota(Limits { total_memory: 100, ..Limits::default() });
        assert!(quota.take_memory(60));
        assert!(!quota.take_memory(60));
        assert!(quota.is_full_of(1), "a second of 60 does not fit");
        quota.return_memory(60);
        assert!(quota.take_memory(40) && !quota.is_full_of(1));
        assert_eq!(stats.memory_bytes.load(Relaxed), 40);
    }

    #[test]
    fn computing_over_the_share_is_paid_for_by_a_pause() {
        let cpu = Cpu::of("0.5".parse().expect("a share")).expect("limited");
        let (tick, mut now, mut computed) = (Duration::from_millis(5), 0_u64, Duration::ZERO);
        while now < 10_000_000_000 {
            now += 5_000_000;
            computed += tick;
            now += cpu.spend_at(now, tick).map_or(0, |pause| u64::try_from(pause.as_nanos()).expect("a short pause"));
        }
        let share = computed.as_secs_f64() / 10.0;
        assert!(cpu.has_waited());
        assert!((0.49..0.52).contains(&share), "half a core was to be used, {share} was");
    }

    #[test]
    fn whoever_computes_less_than_its_share_never_waits() {
        let cpu = Cpu::of("2".parse().expect("a share")).expect("limited");
        assert!((1..1000_u64).all(|tick| cpu.spend_at(tick * 5_000_000, Duration::from_millis(10)).is_none()));
    }
}
