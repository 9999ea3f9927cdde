//! Cores for workers. In: the number of a core. Out: this thread on that core.
//! Always: only cores that the process may run on are named; a thread that cannot be pinned runs on as it did.

use std::io;

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

#[cfg(test)]
mod tests {
    use super::*;

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
