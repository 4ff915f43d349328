//! Commands and their output as documents print them, to be run and compared.
//!
//! A fenced block of the kind `console` holds commands after `$ ` and below each what it prints. In
//! the output `…` stands for any text, and alone on a line for any number of lines. `background`
//! after the kind marks commands that go on running.

/// One command of a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The command, without the prompt.
    pub command: String,
    /// The lines that it prints.
    pub output: Vec<String>,
    /// Whether it goes on running.
    pub background: bool,
}

/// The steps of a document in Markdown.
pub fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut kind: Option<&str> = None;
    for line in document.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            kind = if kind.is_some() { None } else { Some(fence.trim()) };
            continue;
        }
        let background = match kind {
            Some("console") => false,
            Some("console background") => true,
            _ => continue,
        };
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), output: Vec::new(), background }),
            (None, Some(step)) => step.output.push(line.to_owned()),
            (None, None) => {}
        }
    }
    steps
}

/// The marker for what differs from run to run.
const ANY: &str = "…";

/// Whether these lines are what a document says is printed.
pub fn matches(expected: &[String], printed: &[&str]) -> bool {
    match (expected.split_first(), printed.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((first, rest)), _) if first.trim() == ANY => (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..])),
        (Some(_), None) => false,
        (Some((first, rest)), Some((line, others))) => line_matches(first.trim_end(), line.trim_end()) && matches(rest, others),
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    match expected.split_once(ANY) {
        None => expected == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| line_matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn steps_are_the_commands_of_console_blocks_with_their_output() {
        let document = "text\n```sh\n$ not this\n```\n```console\n$ one\na\n\nb\n$ two\n```\nmore\n```console background\n$ three\n```\n";
        let step = |command: &str, output: &str, background| Step { command: command.into(), output: lines(output), background };
        assert_eq!(steps(document), [step("one", "a\n\nb", false), step("two", "", false), step("three", "", true)]);
    }

    #[test]
    fn the_marker_stands_for_text_in_a_line_and_for_lines_alone() {
        assert!(matches(&lines("a…c\n…\nd"), &["abbc", "x", "y", "d"]));
        assert!(matches(&lines("a\n…\nd"), &["a", "d"]));
        assert!(matches(&lines("…"), &[]));
        assert!(!matches(&lines("a\n…\nd"), &["a", "x"]));
        assert!(!matches(&lines("a…c"), &["ab"]));
        assert!(!matches(&lines(""), &["a"]));
    }
}
