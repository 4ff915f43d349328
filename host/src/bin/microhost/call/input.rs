//! The messages to send, from arguments and from standard input, one by one as they are asked for:
//! whoever asks slowly is read for slowly.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::thread;

use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use super::values::{self, Place, Values};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;

/// How much of standard input is read at once.
const CHUNK: usize = 64 << 10;

/// What stands for standard input among the arguments.
const STDIN: &str = "-";

/// A message in JSON, and where it stands.
#[derive(Debug)]
pub struct Message {
    pub json: String,
    pub origin: Origin,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An argument of the command.
    Argument,
    /// Standard input, from here on.
    Stdin(Place),
}

impl Origin {
    /// Where in the input the `line` and `column` of a message are.
    pub fn place(self, line: usize, column: usize) -> Origin {
        match self {
            Origin::Argument => Origin::Argument,
            Origin::Stdin(place) => Origin::Stdin(place.within(line, column)),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Argument => f.write_str("an argument"),
            Origin::Stdin(Place { line, column }) => write!(f, "standard input, line {line} column {column}"),
        }
    }
}

/// The messages of one call, in order.
pub struct Input {
    arguments: VecDeque<String>,
    stdin: Option<mpsc::Receiver<Outcome<Message>>>,
    limit: usize,
}

impl Input {
    /// The messages that these arguments stand for; fails where one is no JSON.
    ///
    /// None of them, standard input included, may be over `limit` bytes.
    pub fn of(arguments: &[String], limit: usize) -> Outcome<Input> {
        for argument in arguments.iter().filter(|argument| *argument != STDIN) {
            if let Err(error) = serde_json::from_str::<IgnoredAny>(argument) {
                return Err(Failure::new(Exit::Usage, "the message is not valid JSON")
                    .because(&error)
                    .advise("a JSON object in single quotes: '{\"name\":\"Ada\"}'"));
            }
            if argument.len() > limit {
                return Err(
                    Failure::new(Exit::Usage, format!("a message is over {limit} bytes")).advise("--max-message with a larger size")
                );
            }
        }
        Ok(Input { arguments: arguments.iter().cloned().collect(), stdin: None, limit })
    }

    /// The one message of a method that takes one: an empty one unless one is given.
    pub async fn single(mut self, method: &str) -> Outcome<Message> {
        if self.arguments.is_empty() {
            return Ok(Message { json: "{}".to_owned(), origin: Origin::Argument });
        }
        let many =
            || Failure::new(Exit::Usage, format!("{method} takes one message, and there are more")).advise("a call for each of them");
        if self.arguments.len() > 1 {
            return Err(many());
        }
        let Some(one) = self.next().await? else {
            return Err(Failure::new(Exit::Usage, "standard input holds no message").advise("'{}' for an empty one"));
        };
        if one.origin != Origin::Argument && self.next().await?.is_some() {
            return Err(many());
        }
        Ok(one)
    }

    /// The messages of a method that takes any number: those of standard input unless others are
    /// given.
    pub fn many(mut self) -> Input {
        if self.arguments.is_empty() {
            self.arguments.push_back(STDIN.to_owned());
        }
        self
    }

    /// The next message; `None` after the last.
    pub async fn next(&mut self) -> Outcome<Option<Message>> {
        loop {
            if let Some(stdin) = &mut self.stdin {
                if let Some(message) = stdin.recv().await {
                    return message.map(Some);
                }
                // It has ended, and stays so: another `-` finds nothing.
                self.stdin = None;
            }
            match self.arguments.pop_front() {
                None => return Ok(None),
                Some(argument) if argument == STDIN => self.stdin = Some(read_stdin(self.limit)?),
                Some(json) => return Ok(Some(Message { json, origin: Origin::Argument })),
            }
        }
    }
}

/// Reads standard input on a thread of its own: a read of it can be neither awaited nor given up.
///
/// The thread ends with the input, at the first error, or with the program.
fn read_stdin(limit: usize) -> Outcome<mpsc::Receiver<Outcome<Message>>> {
    if io::stdin().is_terminal() {
        output::tell("messages in JSON, as you type them; Ctrl-D ends them");
    }
    // One message waits, and not more: what is not sent yet stays where it comes from.
    let (sender, receiver) = mpsc::channel(1);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            if let Err(failure) = read(io::stdin().lock(), limit, &sender) {
                // Nobody takes it where the call has ended already.
                let _ = sender.blocking_send(Err(failure));
            }
        })
        .map_err(|error| Failure::new(Exit::Failed, "cannot read standard input").because(&error))?;
    Ok(receiver)
}

fn read(mut input: impl Read, limit: usize, messages: &mpsc::Sender<Outcome<Message>>) -> Outcome {
    let mut values = Values::new(limit);
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match input.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(|error| Failure::new(Exit::Refused, "cannot read standard input").because(&error))?,
        };
        values.push(&chunk[..count]);
        while let Some(found) = if count == 0 { values.end() } else { values.next() }.map_err(refused)? {
            let message = Message { json: found.json, origin: Origin::Stdin(found.place) };
            if messages.blocking_send(Ok(message)).is_err() {
                return Ok(());
            }
        }
        if count == 0 {
            return Ok(());
        }
    }
}

fn refused(wrong: values::Wrong) -> Failure {
    let Place { line, column } = wrong.place;
    Failure::new(Exit::Usage, format!("standard input, line {line} column {column}: no message in JSON"))
        .note(wrong.why)
        .advise("JSON values with space between them, one a line for example")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::Paint;

    fn input(arguments: &[&str]) -> Outcome<Input> {
        Input::of(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>(), 64)
    }

    async fn single(arguments: &[&str]) -> Result<String, String> {
        let taken = match input(arguments) {
            Ok(input) => input.single("Hello").await,
            Err(failure) => Err(failure),
        };
        taken.map(|message| message.json).map_err(|failure| failure.text(Paint::none()))
    }

    #[tokio::test]
    async fn a_method_of_one_message_takes_one_or_an_empty_one() {
        assert_eq!(single(&[]).await.as_deref(), Ok("{}"));
        assert_eq!(single(&["[1]"]).await.as_deref(), Ok("[1]"));
        let refused = single(&["{}", "{}"]).await;
        assert!(refused.as_ref().is_err_and(|text| text.contains("Hello takes one message")), "{refused:?}");
    }

    #[tokio::test]
    async fn several_arguments_are_several_messages() {
        let mut input = input(&["1", "2"]).ok().expect("JSON").many();
        let mut all = Vec::new();
        while let Some(message) = input.next().await.ok().expect("a message") {
            all.push(message.json);
        }
        assert_eq!(all, ["1", "2"]);
    }

    #[test]
    fn arguments_that_are_no_json_or_too_long_are_refused_at_once() {
        for wrong in ["{", "", "name=Ada", &format!("[{}1]", "1,".repeat(64))] {
            assert_eq!(input(&["{}", wrong]).err().map(|failure| failure.exit()), Some(Exit::Usage), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_read_ahead_of_whoever_takes_the_messages() {
        // Each read gives one message, so reads are counted by messages.
        struct Lines<'a>(&'a std::sync::atomic::AtomicUsize);
        impl Read for Lines<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                buffer[..3].copy_from_slice(b"{}\n");
                Ok(3)
            }
        }
        let reads = std::sync::atomic::AtomicUsize::new(0);
        let (sender, mut receiver) = mpsc::channel(1);
        thread::scope(|scope| {
            let reader = scope.spawn(|| read(Lines(&reads), 64, &sender));
            for taken in 1..100 {
                assert!(receiver.blocking_recv().is_some());
                // The one taken, the one that waits, the one that is to follow it.
                assert!(reads.load(std::sync::atomic::Ordering::SeqCst) <= taken + 2);
            }
            drop(receiver);
            assert!(reader.join().expect("no panic").is_ok());
        });
    }
}
