//! The files that a new project is made of, as they were when this program was built. A test holds
//! the tables to the folders.

/// A file by its path from the folder's top, and its text.
pub(super) type File = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../", $folder, "/", $path)))),*]
    };
}

/// `examples/greeter`, which every new Rust project is a copy of.
pub(super) const GREETER: &[File] =
    files!("examples/greeter": ".gitignore", "Cargo.lock", "Cargo.toml", "README.md", "microhost.toml", "src/lib.rs", "wit/world.wit");

/// `sdk/rust`, which a project carries a copy of.
pub(super) const SDK: &[File] = files!("sdk/rust":
    "Cargo.toml",
    "build.rs",
    "src/context.rs",
    "src/handler/exported.rs",
    "src/handler/failure.rs",
    "src/handler/mod.rs",
    "src/handler/outbox.rs",
    "src/handler/streams.rs",
    "src/lib.rs",
    "src/log/facade.rs",
    "src/log/mod.rs",
    "src/log/spans.rs",
    "src/proto/client.rs",
    "src/proto/host.rs",
    "src/proto/mod.rs",
    "src/proto/sections.rs",
    "src/proto/serve.rs",
    "src/registry/error.rs",
    "src/registry/host.rs",
    "src/registry/mod.rs",
    "src/rpc/error.rs",
    "src/rpc/host.rs",
    "src/rpc/mod.rs",
    "src/rpc/streams.rs",
    "src/service.rs.in",
    "src/start.rs",
    "src/status.rs",
    "src/time.rs",
    "wasi/clocks.wit",
    "wit/context.wit",
    "wit/handler.wit",
    "wit/log.wit",
    "wit/registry.wit",
    "wit/rpc.wit",
    "wit/types.wit",
    "wit/world.wit",
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The files below a folder, but for what cargo makes there and what only the repository needs.
    fn below(top: &Path, prefix: &str, left_out: &[&str], found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(top.join(prefix)).expect("the folder is part of the repository") {
            let name = entry.expect("the folder can be read").file_name().into_string().expect("our names are ASCII");
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if left_out.contains(&path.as_str()) {
                continue;
            }
            if top.join(&path).is_dir() {
                below(top, &path, left_out, found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn the_tables_hold_every_file_of_their_folders() {
        for (folder, left_out, files) in
            [("examples/greeter", &["target"][..], GREETER), ("sdk/rust", &["target", ".gitignore", "Cargo.lock"], SDK)]
        {
            let mut found = BTreeSet::new();
            below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), "", left_out, &mut found);
            let table: BTreeSet<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
            assert_eq!(table, found, "in {folder}");
        }
    }
}
