//! What a `.proto` file says about its own parts, where its descriptors kept it.

use prost_reflect::FileDescriptor;

/// The comment of a `.proto` file on the part at a path (see `google.protobuf.SourceCodeInfo.Location.path`).
pub fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let text = info.location.iter().find(|location| location.path == path)?.leading_comments.as_deref()?;
    // protoc keeps the space between the slashes and the words.
    let lines: Vec<&str> = text.trim_end().lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    Some(lines.join("\n"))
}
