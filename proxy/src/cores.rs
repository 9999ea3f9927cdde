//! Cores for workers, and who has them first. In: the number of a core; how nice a thread is to be. Out: this thread on that core, or behind the others.
//! Always: only cores that the process may run on are named; a thread that cannot be pinned, or moved behind, runs on as it did.

use std::io;

use rustix::process::nice;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this thread may run on, in order. Ask before any thread is pinned: those it starts inherit its cores.
///
/// # Errors
///
/// If the kernel does not tell, or tells of none.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    let is_allowed = |core: &usize| set.is_set(*core);
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(is_allowed).collect();
    if cores.is_empty() {
        return Err(io::Error::other("the kernel names none"));
    }
    Ok(cores)
}

/// Keeps this thread on `core`.
///
/// # Errors
///
/// If there is no such core, or the process may not run on it.
pub fn pin_this_thread(core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Makes this thread so much nicer than it was: others that want its core have it sooner and longer. It needs no privilege, and there is no way back.
///
/// # Errors
///
/// If the kernel does not let it.
pub fn let_others_go_first(niceness: i32) -> io::Result<()> {
    // On Linux it is a thread that is nice, not a process.
    nice(niceness)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn thread_that_lets_others_go_first_leaves_those_as_they_are() {
        let before = getpriority_process(None).unwrap();
        let niceness = |by| {
            let thread = std::thread::spawn(move || {
                let_others_go_first(by).unwrap();
                getpriority_process(None).unwrap()
            });
            thread.join().unwrap()
        };
        assert_eq!(niceness(1), (before + 1).min(19));
        assert_eq!(niceness(10), (before + 10).min(19));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn pinned_thread_may_run_on_its_core_only() {
        let before = allowed().unwrap();
        let last = *before.last().unwrap();
        let after = std::thread::spawn(move || {
            pin_this_thread(last).unwrap();
            allowed().unwrap()
        });
        assert_eq!(after.join().unwrap(), [last]);
        assert_eq!(allowed().unwrap(), before);
    }

    #[test]
    fn core_that_is_not_there_is_an_error_and_changes_nothing() {
        let before = allowed().unwrap();
        assert!(pin_this_thread(CpuSet::MAX_CPU - 1).is_err());
        assert!(pin_this_thread(usize::MAX).is_err());
        assert_eq!(allowed().unwrap(), before);
    }
}
