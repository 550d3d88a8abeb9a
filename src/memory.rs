//! The process's memory: what is freed is wiped, and no dump of it is written.
//!
//! `main` makes the allocator the program's. What SQLite frees is `crate::store`'s; ONNX Runtime's memory holds pictures and
//! embeddings of moments, and is not reached.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, which forgets: an erased name or card does not linger in memory that is free.
pub struct Wiping;

// SAFETY: every call is the system allocator's with the same layout; the bytes of a block are written only before it is given
// back, when nobody else may use it. `realloc` is the trait's own: a new block, a copy, and the old one given back here.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block of this layout. The call is one that a compiler may not leave out.
        unsafe {
            libc::explicit_bzero(block.cast(), layout.size());
            System.dealloc(block, layout);
        }
    }
}

/// Keeps this process out of core dumps and away from other programs of the same user; `false` where the kernel refuses.
pub fn keep_out_of_dumps() -> bool {
    let no: libc::c_ulong = 0;
    // SAFETY: this option takes a number and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, no, no, no, no) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks taken before, so that of those that are freed the thread's next one is the last: glibc keeps seven of a size.
    struct Held(Vec<*mut u8>, Layout);

    impl Held {
        fn of(layout: Layout) -> Self {
            // SAFETY: the layout is not empty; the blocks are given back once, by the same layout.
            Self((0..16).map(|_| unsafe { System.alloc(layout) }).collect(), layout)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            // SAFETY: as above.
            self.0.iter().for_each(|block| unsafe { System.dealloc(*block, self.1) });
        }
    }

    #[test]
    fn a_block_is_wiped_before_it_is_given_back() {
        // Large enough to stay where it is with the system's allocator: the next of its size is the same block.
        let layout = Layout::from_size_align(200, 8).unwrap();
        let held = Held::of(layout);
        // SAFETY: the block is written within its layout and given back once. Its address alone is used afterwards, and the
        // block that is read is one that was just given out.
        unsafe {
            let first = Wiping.alloc(layout);
            first.write_bytes(0xa5, 200);
            Wiping.dealloc(first, layout);
            let second = System.alloc(layout);
            assert_eq!(first, second, "the system gives the same block out again");
            // The first bytes are the system's, which lists free blocks there.
            let bytes = std::slice::from_raw_parts(second.cast_const(), 200);
            assert!(bytes[32..].iter().all(|byte| *byte == 0), "{bytes:?}");
            System.dealloc(second, layout);
        }
        drop(held);
    }

    #[test]
    fn a_block_that_grows_leaves_nothing_behind() {
        let layout = Layout::from_size_align(200, 8).unwrap();
        let held = Held::of(layout);
        // SAFETY: as above; `realloc` takes the first block, and the new one is given back by its new layout.
        unsafe {
            let first = Wiping.alloc(layout);
            first.write_bytes(0xa5, 200);
            let grown = Wiping.realloc(first, layout, 4_000);
            assert_eq!(*grown.add(199), 0xa5);
            let again = System.alloc(layout);
            assert_eq!(first, again, "the system gives the same block out again");
            assert!(std::slice::from_raw_parts(again.cast_const(), 200)[32..].iter().all(|byte| *byte == 0));
            System.dealloc(again, layout);
            Wiping.dealloc(grown, Layout::from_size_align(4_000, 8).unwrap());
        }
        drop(held);
    }
}
