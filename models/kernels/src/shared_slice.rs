//! One output written by several tasks: a slice that is handed out in ranges that do not overlap.

use std::marker::PhantomData;

/// A slice that several tasks write, each its own ranges.
pub(crate) struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: the ranges handed out are disjoint (the contract of `range`), so this is no more than sending `&mut [T]`s.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> SharedSlice<'a, T> {
        SharedSlice { start: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// The `len` elements from `start`.
    ///
    /// # Safety
    /// No two ranges that are alive at the same time overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn range(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "a task stays within its output");
        // SAFETY: within the slice (just checked), and disjoint from other ranges (the caller's promise).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
