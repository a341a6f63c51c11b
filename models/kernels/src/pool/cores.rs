//! Which cores of this machine compute: on a board with big and little ones the big ones, and on request each thread its own.
//! Elsewhere than on Linux, nothing is known and nothing is done.

use std::collections::BTreeSet;
use std::path::Path;

/// A core counts as big when it has this much of the strongest one's capacity.
const BIG: f64 = 0.75;

/// The big cores that this process may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cores {
    /// Numbers of logical processors, one for each physical core before any second one.
    big: Vec<usize>,
    /// How many of them are cores of their own.
    physical: usize,
    /// True where there are others, which are little.
    mixed: bool,
}

impl Cores {
    /// The cores of this machine; `None` where the system does not tell.
    #[cfg(target_os = "linux")]
    pub(crate) fn here() -> Option<Cores> {
        let usable = rustix::thread::sched_getaffinity(None).ok()?;
        let usable = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| usable.is_set(*cpu)).collect();
        Cores::of(Path::new("/sys/devices/system/cpu"), usable)
    }

    /// The cores of this machine; `None` where the system does not tell.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn here() -> Option<Cores> {
        None
    }

    /// The big ones among `usable`, by what Linux says of them below `root`.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    fn of(root: &Path, usable: Vec<usize>) -> Option<Cores> {
        let read = |cpu: usize, name: &str| std::fs::read_to_string(root.join(format!("cpu{cpu}/{name}"))).ok();
        let number = |cpu: usize, name: &str| read(cpu, name)?.trim().parse::<f64>().ok();
        let strength =
            |cpu: usize| number(cpu, "cpu_capacity").or_else(|| number(cpu, "cpufreq/cpuinfo_max_freq")).unwrap_or(1.0);
        let strongest = usable.iter().map(|cpu| strength(*cpu)).fold(0.0, f64::max);
        let (big, little): (Vec<usize>, Vec<usize>) =
            usable.into_iter().partition(|cpu| strength(*cpu) >= BIG * strongest);
        let mut seen = BTreeSet::new();
        let place = |cpu: usize| Some((read(cpu, "topology/physical_package_id")?, read(cpu, "topology/core_id")?));
        // A processor that tells nothing counts as a core of its own.
        let (first, second): (Vec<usize>, Vec<usize>) =
            big.into_iter().partition(|cpu| place(*cpu).is_none_or(|place| seen.insert(place)));
        let physical = first.len();
        let big: Vec<usize> = first.into_iter().chain(second).collect();
        (!big.is_empty()).then_some(Cores { big, physical, mixed: !little.is_empty() })
    }

    /// How many physical big cores there are.
    pub(crate) fn physical(&self) -> usize {
        self.physical
    }

    /// Keeps the calling thread, number `index` of `threads`, on big cores: on one of its own if that is asked for, on all of
    /// them where there are little ones too and enough big ones. What the system refuses is left as it was.
    pub(crate) fn settle(&self, index: usize, threads: usize, pin: bool) {
        let _ = (index, threads, pin);
        #[cfg(target_os = "linux")]
        {
            let mut set = rustix::thread::CpuSet::new();
            if pin {
                set.set(self.big[index % self.big.len()]);
            } else if self.mixed && threads <= self.big.len() {
                self.big.iter().for_each(|cpu| set.set(*cpu));
            } else {
                return;
            }
            rustix::thread::sched_setaffinity(None, &set).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder like /sys/devices/system/cpu; each core is (capacity, core id).
    fn machine(name: &str, cores: &[(Option<u32>, u32)]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("nearfield-cores-{}-{name}", std::process::id()));
        for (cpu, (capacity, core)) in cores.iter().enumerate() {
            let folder = root.join(format!("cpu{cpu}/topology"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("core_id"), format!("{core}\n")).unwrap();
            std::fs::write(folder.join("physical_package_id"), "0\n").unwrap();
            if let Some(capacity) = capacity {
                std::fs::write(root.join(format!("cpu{cpu}/cpu_capacity")), format!("{capacity}\n")).unwrap();
            }
        }
        root
    }

    #[test]
    fn on_a_board_with_big_and_little_cores_the_big_ones_compute() {
        let little = [(Some(530), 0), (Some(530), 1), (Some(530), 2), (Some(530), 3)];
        let big = [(Some(1024), 4), (Some(1024), 5), (Some(1024), 6), (Some(1024), 7)];
        let root = machine("mixed", &[little, big].concat());
        let cores = Cores::of(&root, (0..8).collect()).unwrap();
        assert_eq!(cores, Cores { big: vec![4, 5, 6, 7], physical: 4, mixed: true });
        let only_little = Cores::of(&root, vec![0, 1]).unwrap();
        assert_eq!(
            only_little,
            Cores { big: vec![0, 1], physical: 2, mixed: false },
            "a container may have no big one"
        );
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_second_thread_of_a_core_comes_after_every_core() {
        let root = machine("siblings", &[(None, 0), (None, 0), (None, 1), (None, 1)]);
        let cores = Cores::of(&root, (0..4).collect()).unwrap();
        assert_eq!(cores, Cores { big: vec![0, 2, 1, 3], physical: 2, mixed: false });
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_machine_that_tells_nothing_has_equal_cores() {
        let cores = Cores::of(Path::new("/nonexistent"), vec![0, 1, 2]).unwrap();
        assert_eq!(cores, Cores { big: vec![0, 1, 2], physical: 3, mixed: false });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pinned_thread_runs_on_one_core() {
        let Some(cores) = Cores::here() else { return };
        let allowed = std::thread::spawn(move || {
            cores.settle(1, 2, true);
            rustix::thread::sched_getaffinity(None).unwrap().count()
        });
        assert_eq!(allowed.join().unwrap(), 1);
    }
}
