//! Small messages that came or go together, as one: what passing a message costs by itself would be
//! more than the message.

use bytes::{Buf as _, Bytes};

/// What stands before each message: a byte that is zero, and the length in network order. It is the
/// envelope of gRPC and Connect for a message that is not compressed, so that an edge passes on what
/// it has.
const HEAD: usize = 5;

/// Messages in the order in which they were sent, in one piece of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    bytes: Bytes,
    count: usize,
}

impl Run {
    /// Takes whole messages, each behind a head, off the front of `rest`: as many as there are up to one
    /// that is longer than `limit`, not whole, or marked by its head as anything else than plain. `None`
    /// where there are fewer than two, and then `rest` is as it was.
    pub fn take(rest: &mut Bytes, limit: usize) -> Option<Run> {
        let (mut end, mut count) = (0, 0);
        while let Some(next) = after(rest, end).filter(|next| next - end - HEAD <= limit) {
            (end, count) = (next, count + 1);
        }
        (count > 1).then(|| Run { bytes: rest.split_to(end), count })
    }

    /// How many messages there are.
    pub fn messages(&self) -> usize {
        self.count
    }

    /// The messages with their heads.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where in [`Run::bytes`] the message is that begins, with its head, at `from`; `None` at the end.
    pub fn message_at(&self, from: usize) -> Option<std::ops::Range<usize>> {
        after(&self.bytes, from).map(|end| from + HEAD..end)
    }
}

/// The messages one by one.
impl Iterator for Run {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let end = after(&self.bytes, 0)?;
        let mut message = self.bytes.split_to(end);
        message.advance(HEAD);
        self.count -= 1;
        Some(message)
    }
}

/// Where the plain message ends whose head begins at `from`; `None` where it is not whole.
fn after(bytes: &[u8], from: usize) -> Option<usize> {
    let [0, length @ ..] = bytes.get(from..)?.first_chunk::<HEAD>()? else { return None };
    let end = (from + HEAD).checked_add(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    (end <= bytes.len()).then_some(end)
}

/// Makes a run.
#[derive(Debug, Default)]
pub struct RunWriter {
    bytes: Vec<u8>,
    count: usize,
}

impl RunWriter {
    /// A run of about so many messages, with so many bytes in all.
    pub fn with_capacity(count: usize, bytes: usize) -> RunWriter {
        RunWriter { bytes: Vec::with_capacity(bytes.saturating_add(count.saturating_mul(HEAD))), count: 0 }
    }

    /// Adds a message, which is given in two parts. `false` where it is too long to say so.
    pub fn push(&mut self, first: &[u8], rest: &[u8]) -> bool {
        let Ok(length) = u32::try_from(first.len() + rest.len()) else { return false };
        let [a, b, c, d] = length.to_be_bytes();
        self.bytes.extend_from_slice(&[0, a, b, c, d]);
        self.bytes.extend_from_slice(first);
        self.bytes.extend_from_slice(rest);
        self.count += 1;
        true
    }

    /// The run; `None` where nothing was added since it was taken the last time.
    pub fn take(&mut self) -> Option<Run> {
        let count = std::mem::take(&mut self.count);
        (count > 0).then(|| Run { bytes: std::mem::take(&mut self.bytes).into(), count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(messages: &[&[u8]]) -> Run {
        let mut writer = RunWriter::default();
        assert!(messages.iter().all(|message| writer.push(&message[..message.len() / 2], &message[message.len() / 2..])));
        writer.take().expect("some messages")
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let run = run(&[b"one", b"", b"three"]);
        assert_eq!(run.messages(), 3);
        let (mut from, mut found) = (0, Vec::new());
        while let Some(message) = run.message_at(from) {
            from = message.end;
            found.push(run.bytes().slice(message));
        }
        assert_eq!(found, [&b"one"[..], b"", b"three"]);
        assert_eq!(run.collect::<Vec<_>>(), found);
    }

    #[test]
    fn whole_plain_messages_are_taken_and_the_rest_is_left() {
        let two = run(&[b"a", b"bc"]).bytes;
        for more in [&b""[..], b"\0\0\0", b"\0\0\0\0\x02x", b"\x01\0\0\0\0", b"\0\0\0\0\x04long", b"\0\xff\xff\xff\xff"] {
            let mut rest = Bytes::from([&two[..], more].concat());
            let taken = Run::take(&mut rest, 3).expect("two messages");
            assert_eq!((taken.count, &taken.bytes[..], &rest[..]), (2, &two[..], more));
        }
    }

    #[test]
    fn a_message_alone_is_no_run() {
        let mut rest = run(&[b"a"]).bytes;
        assert_eq!(Run::take(&mut rest, 3), None);
        assert_eq!(rest.len(), 6);
    }
}
