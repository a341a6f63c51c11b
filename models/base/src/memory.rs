//! Memory and threads of the system and of this process, as Linux reports them in /proc; `None` on other systems.

/// Bytes under `key` (as `MemAvailable`) in /proc/meminfo; `None` where the system does not tell.
pub fn of_system(key: &str) -> Option<usize> {
    value("/proc/meminfo", key)?.checked_mul(1024)
}

/// Bytes under `key` (as `VmRSS`, what is resident now, or `VmHWM`, the most that ever was) in /proc/self/status; `None` where the
/// system does not tell.
pub fn of_process(key: &str) -> Option<usize> {
    value("/proc/self/status", key)?.checked_mul(1024)
}

/// How many threads this process has; `None` where the system does not tell.
pub fn threads() -> Option<usize> {
    value("/proc/self/status", "Threads")
}

/// Gives memory that was freed, and that the allocator keeps for later, back to the system: for the end of a start that needed much
/// more than what follows. Does nothing with allocators other than glibc's, which do so by themselves or not at all.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointers and may be called at any time, from any thread.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The number behind `key` in a file of lines such as `VmRSS:     1234 kB`.
fn value(file: &str, key: &str) -> Option<usize> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_less_than_the_system_has() {
        let resident = of_process("VmRSS").unwrap();
        // The kernel counts pages in batches on each CPU, and other tests take and free memory between the two reads.
        let slack = 8 << 20;
        assert!(resident > 100_000 && resident <= of_process("VmHWM").unwrap() + slack);
        assert!(resident < of_system("MemTotal").unwrap());
        assert!(threads().unwrap() >= 1);
        assert_eq!(of_process("VmR"), None, "a key is a whole word");
    }
}
