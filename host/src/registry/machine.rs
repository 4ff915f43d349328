//! Which hosts share a machine: those may call one another by Unix sockets, whose paths mean something
//! else, or nothing, anywhere else.

use std::sync::OnceLock;

/// Bytes of the name: enough that no two machines share one.
const BYTES: usize = 16;

/// What stands for this run of this machine and for the files that this process sees there; `None` where
/// the system does not tell. It is the same for two processes only if a path leads both to the same socket:
/// containers that share a machine have files of their own, and differ.
pub fn machine() -> Option<&'static str> {
    static MACHINE: OnceLock<Option<String>> = OnceLock::new();
    MACHINE.get_or_init(told).as_deref()
}

fn told() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let files = std::fs::read_link("/proc/self/ns/mnt").ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(boot.trim().as_bytes()).update(files.as_os_str().as_encoded_bytes());
    // What the machine is called is nobody's affair: the name tells machines apart, and no more.
    Some(hasher.finalize().as_bytes()[..BYTES].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_one_name_that_tells_nothing_else() {
        let name = machine().expect("Linux tells");
        assert_eq!((name.len(), Some(name)), (2 * BYTES, told().as_deref()));
        assert!(name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
