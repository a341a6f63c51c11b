//! How busy the system's cores are, as Linux reports it in /proc; `None` on other systems.

/// How many threads of all processes run or wait for a core at this moment, the caller's included; `None` where the system does not
/// tell.
pub fn runnable() -> Option<usize> {
    parse(&std::fs::read_to_string("/proc/loadavg").ok()?)
}

/// The fourth field of `0.20 0.18 0.12 1/80 11206`: what is runnable, of how many.
fn parse(loadavg: &str) -> Option<usize> {
    loadavg.split_whitespace().nth(3)?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_counted() {
        assert_eq!(parse("0.20 0.18 0.12 3/80 11206\n"), Some(3));
        assert_eq!((parse(""), parse("0.20 0.18 0.12 x/80 1")), (None, None));
        #[cfg(target_os = "linux")]
        assert!(runnable().is_some_and(|n| n >= 1));
    }
}
