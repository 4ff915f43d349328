//! `microhost dev`: serves projects while they are written. What changes is built, and takes the calls
//! over from what ran before.

use std::sync::{Arc, mpsc};
use std::thread;

use clap::Args;
use microhost::app::{MustStart, OnReady};
use microhost::project::Cancel;
use tokio::runtime::Handle;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::run::{Asked, Begin, ready};

mod ignored;
mod sources;
mod standing;
mod tended;
mod workshop;

use workshop::Workshop;

/// Serve projects while they are written
///
/// Does what `microhost run` does, and watches the sources and settings of each project. What changes is
/// built, and takes the calls over from what ran before, without a call that fails. Where it does not
/// build or does not fit, the version before goes on serving, and the reason is told. What git ignores
/// is not watched.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost dev                           the project in this folder
  microhost dev orders stock payments     several, each built and swapped by itself
  microhost dev --force shop/microhost.toml")]
pub struct Dev {
    #[command(flatten)]
    asked: Asked,

    /// Swap a service even where its callers lose functions that they had
    #[arg(long)]
    force: bool,
}

impl Dev {
    /// Serves and watches until the program is told to stop.
    pub fn execute(self) -> Outcome {
        let Dev { asked, force } = self;
        let asked = Arc::new(asked);
        let journal = asked.log.start()?;
        let plan = asked.plan()?;
        let cancel = Arc::new(Cancel::default());
        let mut workshop = Workshop::new(Arc::clone(&asked), &plan, force, Arc::clone(&cancel));
        let (services, failed) = workshop.begin();
        let (stop, stopped) = mpsc::channel::<()>();
        let (hand, handed) = mpsc::channel();
        let people = asked.log.for_people();
        let on_ready: OnReady = Box::new(move |ready, host| {
            ready::announce(ready, people);
            // The watcher waits for it; where it could not begin, the run has ended with why.
            let _ = hand.send((Arc::clone(host), Handle::current()));
        });
        let watching = thread::Builder::new().name("watch".into()).spawn(move || {
            if let Ok((host, runtime)) = handed.recv() {
                workshop.tend(&host, &runtime, &stopped);
            }
        });
        let watching = watching.map_err(|error| Failure::new(Exit::Failed, "cannot watch the sources").because(&error))?;
        let served = asked.serve(plan, journal, Begin { services, failed, must_start: MustStart::None, on_ready });
        drop(stop);
        cancel.cancel();
        // It has a turn of its own to end, and no more: what it built is of no use any more.
        if watching.join().is_err() {
            return Err(Failure::new(Exit::Failed, "the watcher of the sources has failed"));
        }
        served
    }
}
