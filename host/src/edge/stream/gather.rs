//! Small messages that are ready at the same time go out together: a frame and a system call for
//! each would cost more than the messages. Large ones are not copied, and none waits for another, unless
//! many came at once: then those wait for one turn of their lane.

use bytes::{Buf as _, BufMut as _, BytesMut};

use crate::edge::body::Chunk;
use crate::rpc::Run;

/// With this many bytes no more is added: with one more message it is at most HTTP/2's smallest
/// limit of a frame, 16 KiB (RFC 9113, section 4.2).
const FULL: usize = 12 << 10;

/// A message longer than this, with its envelope, goes by itself.
const SMALL: usize = 4 << 10;

/// Messages that came together and are longer than this go by themselves; with what waits already, as
/// much as a frame takes.
const RUN: usize = 8 << 10;
const FRAME: usize = 16 << 10;

/// So many messages at once show that there may soon be more of them.
const MANY: usize = 16;

/// Bytes of messages, before they were compressed, that go out together at most: compressing takes
/// time, in which what is ready would wait.
const WORK: usize = 64 << 10;

/// What is reserved first for messages that go together.
const RESERVE: usize = 512;

/// Messages on their way out, in order: a first or several small ones, then perhaps a large one.
#[derive(Default)]
pub(super) struct Gather {
    /// A small message with no other one yet: it is not copied until there is.
    first: Option<Chunk>,
    small: BytesMut,
    large: Option<Chunk>,
    work: usize,
    count: usize,
}

impl Gather {
    /// Adds what was a message of `length` bytes. Not to be called when it is full.
    pub(super) fn push(&mut self, chunk: Chunk, length: usize) {
        self.work += length;
        self.add(chunk, 1, SMALL);
    }

    /// Adds messages in their envelopes. Not to be called when it is full.
    pub(super) fn push_run(&mut self, run: &Run) {
        let waits = self.first.as_ref().map_or(self.small.len(), |chunk| chunk.remaining());
        self.add(Chunk::plain(run.bytes().clone()), run.messages(), RUN.min(FRAME - waits));
    }

    fn add(&mut self, chunk: Chunk, count: usize, small: usize) {
        self.count += count;
        if chunk.remaining() > small {
            self.large = Some(chunk);
        } else if self.first.is_none() && self.small.is_empty() {
            self.first = Some(chunk);
        } else {
            if let Some(first) = self.first.take() {
                self.small.reserve(RESERVE.max(first.remaining() + chunk.remaining()));
                self.small.put(first);
            }
            self.small.put(chunk);
        }
    }

    /// Whether something has to go before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.large.is_some() || self.small.len() >= FULL || self.work >= WORK
    }

    /// Whether more messages may come so soon that these should wait for them, by how many came.
    pub(super) fn has_many(&self) -> bool {
        self.count >= MANY
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.small.is_empty() && self.large.is_none()
    }

    /// What goes next.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        (self.work, self.count) = (0, 0);
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if !self.small.is_empty() {
            return Some(Chunk::plain(self.small.split().freeze()));
        }
        self.large.take()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::edge::envelope;
    use crate::rpc::RunWriter;

    fn chunk(length: usize) -> Chunk {
        Chunk::enveloped(envelope::head(false, length), vec![7; length].into())
    }

    fn taken(gather: &mut Gather) -> Vec<usize> {
        std::iter::from_fn(|| gather.take()).map(|chunk| chunk.remaining()).collect()
    }

    #[test]
    fn small_messages_go_together_up_to_a_frame() {
        let mut gather = Gather::default();
        let mut count = 0;
        while !gather.is_full() {
            gather.push(chunk(SMALL - 5), SMALL - 5);
            count += 1;
        }
        assert_eq!(taken(&mut gather), [count * SMALL]);
        assert!(gather.is_empty() && (2..=4).contains(&count), "{count}");
    }

    #[test]
    fn a_large_message_follows_the_small_ones_without_a_copy() {
        let mut gather = Gather::default();
        gather.push(chunk(1), 1);
        gather.push(chunk(2), 2);
        let bytes: Bytes = vec![7; SMALL].into();
        gather.push(Chunk::enveloped(envelope::head(false, SMALL), bytes.clone()), SMALL);
        assert!(gather.is_full());
        assert_eq!(gather.take().expect("the small ones").remaining(), 13);
        let mut large = gather.take().expect("the large one");
        large.advance(5);
        assert_eq!(large.chunk().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn one_message_goes_as_it_is() {
        let bytes = Bytes::from_static(b"hello");
        let mut gather = Gather::default();
        gather.push(Chunk::enveloped(envelope::head(false, 5), bytes.clone()), 5);
        let mut chunk = gather.take().expect("the message");
        chunk.advance(5);
        assert_eq!(chunk.chunk().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn what_was_long_before_it_was_compressed_goes_soon() {
        let mut gather = Gather::default();
        gather.push(chunk(10), WORK);
        assert!(gather.is_full());
        gather.take();
        assert!(!gather.is_full());
    }

    fn run(count: usize, length: usize) -> Run {
        let mut writer = RunWriter::default();
        assert!((0..count).all(|_| writer.push(&vec![7; length], &[])));
        writer.take().expect("some messages")
    }

    #[test]
    fn runs_join_up_to_a_frame_and_long_ones_are_not_copied() {
        let mut gather = Gather::default();
        while !gather.is_full() {
            gather.push_run(&run(64, 16));
        }
        let [frame] = taken(&mut gather)[..] else { panic!("one frame") };
        assert!((FULL..=FRAME).contains(&frame), "{frame}");

        let long = run(16, 1024);
        gather.push(chunk(1), 1);
        gather.push_run(&long);
        assert!(gather.is_full());
        assert_eq!(gather.take().expect("the small one").remaining(), 6);
        assert_eq!(gather.take().expect("the run").chunk().as_ptr(), long.bytes().as_ptr());
    }

    #[test]
    fn only_many_messages_wait_for_more() {
        let mut gather = Gather::default();
        gather.push_run(&run(MANY - 1, 1));
        assert!(!gather.has_many());
        gather.push(chunk(1), 1);
        assert!(gather.has_many());
        gather.take();
        assert!(!gather.has_many());
    }
}
