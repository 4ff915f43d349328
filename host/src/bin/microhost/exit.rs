//! What the program's exit code tells a script. docs/cli.md shows the same table.

use std::process::ExitCode;

use microhost::status::Code;

/// What a call's status is added to: 69 is `not_found`. grpcurl counts the same way, and these codes
/// meet neither the shell's own (126 and up) nor those below.
const STATUS_BASE: u8 = 64;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done,
    /// It failed, in a way that no other code names.
    Failed,
    /// The command line is wrong. clap uses the same code.
    Usage,
    /// The input is refused: a missing or broken file, wrong settings, no such service or method.
    Refused,
    /// Nobody answers at the address, or the address to listen at cannot be had.
    Unreachable,
    /// A project does not build, or a tool to build it is missing.
    Build,
    /// The call reached its service and ended with this status.
    Status(Code),
}

impl Exit {
    /// The number that the shell sees.
    pub fn number(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Unreachable => 4,
            Exit::Build => 5,
            Exit::Status(code) => STATUS_BASE + code.number(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_list_every_exit_code() {
        let papers = include_str!("../../../../docs/cli.md");
        for exit in [Exit::Done, Exit::Failed, Exit::Usage, Exit::Refused, Exit::Unreachable, Exit::Build] {
            assert!(papers.contains(&format!("\n| {} | ", exit.number())), "docs/cli.md has no row for {exit:?}");
        }
        for code in Code::all().filter(|code| *code != Code::Ok) {
            let row = format!("\n| {} | `{}`", Exit::Status(code).number(), code.name());
            assert!(papers.contains(&row), "docs/cli.md has no row {row:?}");
        }
    }

    #[test]
    fn the_papers_list_every_status() {
        let papers = include_str!("../../../../docs/protocols.md");
        for code in Code::all().filter(|code| *code != Code::Ok) {
            let row = format!("\n| `{}` | {} | {} |", code.name(), code.number(), code.http().as_u16());
            assert!(papers.contains(&row), "docs/protocols.md has no row {row:?}");
        }
    }
}
