//! Which part of very many targets a lane calls. A connection to each of a thousand costs more than the calls
//! that it carries are worth: few go together in one write, and what belongs to them is in no cache. So a lane
//! keeps to as many targets as its calls have work for, and takes in more when those have enough to do.
//!
//! The targets stand on a ring, in an order that is the same on every host, and each lane of each caller begins
//! at a point of its own there; the points are spread evenly, so the targets are called evenly though
//! each caller knows only its own part. Calls of versions and labels that differ are shared out before that, by
//! weight, so that the shares of a canary hold whatever part is called.
//!
//! Source: Finagle's deterministic aperture (`com.twitter.finagle.loadbalancer.aperture`), and its band of load;
//! "subsetting" in B. Beyer et al., "Site Reliability Engineering" (2016), chapter 20.

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::available_parallelism;

use super::facts::Listed;
use super::mix::part_of;
use super::shares::Shares;
use super::stand::Stand;
use super::target::Target;
use crate::lanes;

/// Calls in flight for a target of the part that is called: with fewer the part becomes smaller, with more
/// larger. Source: the band of Finagle's aperture.
const BAND: (f32, f32) = (0.5, 2.0);

/// Targets that are looked at for the load of all: of more the first ones are forgotten.
const SAMPLES: f32 = 64.0;

/// How much the part grows or shrinks at once, as a part of itself.
const STEP: usize = 16;

/// Targets of one lane in any case; two of a stratum, as two are compared.
const FEWEST: usize = 4;
const FEWEST_ALIKE: usize = 2;

/// How many targets one lane calls. On a line of its own in the processor's caches: the lane writes it at each
/// choice. Threads that are no lanes share one, whose estimate may lose a sample.
#[derive(Debug)]
#[repr(align(128))]
struct Aperture {
    /// Of the whole group; 0 for the fewest.
    width: AtomicU32,
    /// Calls in flight for a target of the part, as floating point.
    load: AtomicU32,
}

/// The apertures of all lanes for one group. Made when one is looked through: most lists are short, and have none.
#[derive(Debug, Default)]
pub(super) struct Apertures(OnceLock<Box<[Aperture]>>);

impl Apertures {
    /// Of each lane; one at least.
    fn all(&self) -> &[Aperture] {
        self.0.get_or_init(|| {
            let lanes = available_parallelism().map_or(1, NonZeroUsize::get);
            (0..lanes).map(|_| Aperture { width: AtomicU32::new(0), load: AtomicU32::new(0) }).collect()
        })
    }

    fn count(&self) -> usize {
        self.all().len()
    }

    /// The number of the lane that chooses, and its own.
    fn own(&self) -> (usize, &Aperture) {
        let lane = lanes::current().unwrap_or_default() % self.count();
        (lane, &self.all()[lane])
    }
}

/// The members of a long group, by what they are.
#[derive(Debug)]
pub(super) struct Ring {
    /// By stratum, and within it by identity.
    members: Vec<u32>,
    strata: Vec<Stratum>,
    shares: Shares,
    stand: Stand,
    /// Targets that are called in any case, by all lanes together.
    least: usize,
}

/// Members of the same weight, version and labels.
#[derive(Debug)]
struct Stratum {
    from: usize,
    size: usize,
}

/// Members that a lane calls: some in a row on the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// All of the stratum.
    members: &'a [u32],
    start: usize,
    width: usize,
}

impl<'a> Part<'a> {
    /// Of all of these, one at least.
    pub(super) fn all(members: &'a [u32]) -> Part<'a> {
        Part { members, start: 0, width: members.len() }
    }

    /// How many they are; one at least.
    pub(super) fn len(self) -> usize {
        self.width
    }

    /// One of them.
    pub(super) fn at(self, place: usize) -> u32 {
        let place = self.start + place;
        self.members[if place < self.members.len() { place } else { place - self.members.len() }]
    }
}

impl Ring {
    /// Of these places of the list; `None` where they are so few that each is called by every lane.
    pub(super) fn new<T: Listed>(members: &[u32], targets: &[Target<T>], least: usize, stand: Stand) -> Option<Ring> {
        if members.len() <= least {
            return None;
        }
        let mut members = members.to_vec();
        let kind = |place: &u32| {
            let target = &targets[*place as usize];
            let facts = target.value.facts();
            (target.weight, facts.version, facts.labels[0])
        };
        members.sort_unstable_by(|a, b| {
            let identity = |place: &u32| targets[*place as usize].identity();
            kind(a).cmp(&kind(b)).then_with(|| identity(a).cmp(&identity(b)))
        });
        let (mut strata, mut weights, mut from) = (Vec::new(), Vec::new(), 0);
        for alike in members.chunk_by(|a, b| kind(a) == kind(b)) {
            let weight = u64::from(targets[alike[0] as usize].weight) * alike.len() as u64;
            weights.push(u32::try_from(weight).unwrap_or(u32::MAX));
            strata.push(Stratum { from, size: alike.len() });
            from += alike.len();
        }
        Some(Ring { members, strata, shares: Shares::new(&weights), stand, least })
    }

    /// The part of a stratum that the calling lane calls, the stratum drawn by `draw` of all numbers.
    pub(super) fn part(&self, apertures: &Apertures, draw: u64) -> Part<'_> {
        let (lane, own) = apertures.own();
        let stratum = &self.strata[self.shares.at(part_of(self.shares.total(), draw))];
        let width = (own.width.load(Relaxed) as usize).max(self.fewest(apertures)).min(self.members.len());
        let width = (width * stratum.size).div_ceil(self.members.len()).max(FEWEST_ALIKE).min(stratum.size);
        let point = self.stand.of_lane(lane, apertures.count());
        Part { members: &self.members[stratum.from..][..stratum.size], start: part_of(stratum.size as u64, point) as usize, width }
    }

    /// Takes in how many calls a target had that was met by chance in the part of the calling lane.
    pub(super) fn met(&self, apertures: &Apertures, in_flight: u64) {
        let (_, aperture) = apertures.own();
        let load = f32::from_bits(aperture.load.load(Relaxed));
        let mut load = load + (in_flight as f32 - load) / SAMPLES;
        let fewest = self.fewest(apertures);
        let width = (aperture.width.load(Relaxed) as usize).clamp(fewest, self.members.len());
        let step = width.div_ceil(STEP);
        let next = if load > BAND.1 {
            (width + step).min(self.members.len())
        } else if load < BAND.0 {
            (width - step).max(fewest)
        } else {
            width
        };
        if next != width {
            // The same calls at more or fewer targets.
            load *= width as f32 / next as f32;
            aperture.width.store(next as u32, Relaxed);
        }
        aperture.load.store(load.to_bits(), Relaxed);
    }

    fn fewest(&self, apertures: &Apertures) -> usize {
        self.least.div_ceil(apertures.count()).max(FEWEST).min(self.members.len())
    }
}
