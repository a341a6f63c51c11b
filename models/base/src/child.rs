//! Child processes that a terminal's Ctrl-C does not reach: it is for this program, which ends them itself.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, waitid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Starts `command` in a process group of its own. A child belongs to this program's group until it has left it: a signal to the group
/// that comes within this moment ends the child before it has become the program, and it is started again.
///
/// # Errors
/// Those of [`Command::spawn`].
pub fn spawn_in_own_group(command: &mut Command) -> io::Result<Child> {
    command.process_group(0);
    loop {
        let mut child = command.spawn()?;
        if !ended_before_it_began(&child) {
            return Ok(child);
        }
        child.wait()?;
    }
}

/// `spawn` returns when the child has become its program or is about to end. Until then it has this program's file, or none.
fn ended_before_it_began(child: &Child) -> bool {
    const UNTIL_AN_END_IS_SEEN: Duration = Duration::from_millis(20);
    let Ok(ours) = std::fs::read_link("/proc/self/exe") else { return false };
    if std::fs::read_link(format!("/proc/{}/exe", child.id())).is_ok_and(|its| its != ours) {
        return false;
    }
    let since = Instant::now();
    while since.elapsed() < UNTIL_AN_END_IS_SEEN {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if let Ok(Some(status)) = waitid(WaitId::Pid(Pid::from_child(child)), options) {
            return was_sent_to_a_group(status);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    false
}

fn was_sent_to_a_group(status: WaitIdStatus) -> bool {
    let signals = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
    status.terminating_signal().is_some_and(|number| signals.iter().any(|signal| signal.as_raw() == number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "NEARFIELD_TEST_PARENT";

    #[test]
    fn no_child_is_lost_to_a_signal_of_its_parents_group() {
        if std::env::var_os(PARENT).is_some() {
            return parent_of_many();
        }
        let name = "child::tests::no_child_is_lost_to_a_signal_of_its_parents_group";
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact"])
            .env(PARENT, "1")
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Pid::from_child(&parent);
        // Not before it catches the signal.
        std::io::Read::read_exact(parent.stdout.as_mut().unwrap(), &mut [0; 1]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let mut sent = 0;
        while parent.try_wait().unwrap().is_none() {
            rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
            sent += 1;
            std::thread::sleep(Duration::from_micros(100));
        }
        let ended = parent.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        assert!(sent > 100, "{sent} signals");
    }

    fn parent_of_many() {
        signal_hook::flag::register(signal_hook::consts::SIGINT, std::sync::Arc::default()).unwrap();
        for n in 0..500 {
            let ended = spawn_in_own_group(&mut Command::new("true")).unwrap().wait().unwrap();
            assert!(ended.success(), "child {n}: {ended}");
        }
    }
}
