//! The unused places inside the pages of the database file: overwritten in place, where rows once were.
//!
//! SQLite moves rows between pages as others come and go, and its `secure_delete` forgets the places they were moved from.
//! To build the file anew (VACUUM) clears them too, but writes all of it for one customer: 300 MB at a hundred thousand.
//! No reader looks at these places, so they are cleared beside readers; the format is sqlite.org/fileformat2.html, 1.6.

use std::io;
use std::ops::Range;

use rusqlite::Transaction;

use super::main_file::MainFile;

const BLOCK: usize = 1 << 18;
/// The first page begins with the file's own header.
const FILE_HEADER: usize = 100;
/// From so many pages on, a page that continues another could begin like one with rows.
const MOST_PAGES: u64 = 1 << 24;

/// Overwrites the unused places of all pages; how many pages had any. Only while the log is empty and `tx` may write: then the
/// file is all there is, and nobody writes pages that were read before.
pub(super) fn clear(tx: &Transaction<'_>, page_size: usize) -> io::Result<usize> {
    let file = MainFile::of(tx)?;
    let length = file.length()?;
    if page_size < 512 || length / page_size as u64 >= MOST_PAGES {
        return Err(io::Error::other("the database is too large for its unused places to be told apart"));
    }
    let mut block = vec![0; BLOCK.max(page_size)];
    let (mut at, mut cleared) = (0, 0);
    while at < length {
        let read = usize::try_from(length - at).map_or(block.len(), |left| left.min(block.len()));
        file.read(&mut block[..read], at)?;
        for (n, page) in block[..read].chunks_exact(page_size).enumerate() {
            let place = at + (n * page_size) as u64;
            let unused = unused(page, if place == 0 { FILE_HEADER } else { 0 });
            let dirty: Vec<_> = unused.into_iter().filter(|r| page[r.clone()].iter().any(|byte| *byte != 0)).collect();
            cleared += usize::from(!dirty.is_empty());
            for range in dirty {
                file.zero(place + range.start as u64, range.len())?;
            }
        }
        at += read as u64;
    }
    if cleared > 0 {
        file.sync()?;
    }
    Ok(cleared)
}

/// The bytes of a page that hold nothing: between its index and its rows, and what was freed among the rows. None of a page
/// that has no rows, or whose numbers are not right.
fn unused(page: &[u8], header: usize) -> Vec<Range<usize>> {
    let number = |at: usize| page.get(at..at + 2).map_or(0, |two| usize::from(u16::from_be_bytes([two[0], two[1]])));
    let index = match page.get(header) {
        Some(2 | 5) => header + 12,
        Some(10 | 13) => header + 8,
        _ => return Vec::new(),
    };
    let rows = match number(header + 5) {
        0 => 1 << 16,
        rows => rows,
    };
    let gap = index + 2 * number(header + 3)..rows;
    if gap.start > gap.end || gap.end > page.len() {
        return Vec::new();
    }
    let mut found = vec![gap];
    // Freed places are a chain, each with the next one's place and its own length in front.
    let mut freed = number(header + 1);
    while freed >= rows && freed + 4 <= page.len() {
        let (next, length) = (number(freed), number(freed + 2));
        if length < 4 || freed + length > page.len() {
            break;
        }
        found.push(freed + 4..freed + length);
        if next <= freed {
            break;
        }
        freed = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(kind: u8, freed: u16, cells: u16, rows: u16) -> Vec<u8> {
        let mut page = vec![0xee; 512];
        page[0] = kind;
        page[1..3].copy_from_slice(&freed.to_be_bytes());
        page[3..5].copy_from_slice(&cells.to_be_bytes());
        page[5..7].copy_from_slice(&rows.to_be_bytes());
        page
    }

    #[test]
    fn what_lies_between_index_and_rows_and_what_was_freed_among_them_is_unused() {
        let mut leaf = page(13, 400, 3, 300);
        leaf[400..404].copy_from_slice(&[1, 0xf4, 0, 20]);
        leaf[500..504].copy_from_slice(&[0, 0, 0, 12]);
        assert_eq!(unused(&leaf, 0), [14..300, 404..420, 504..512]);
        assert_eq!(unused(&page(5, 0, 3, 300), 0), vec![Range { start: 18, end: 300 }]);
    }

    #[test]
    fn pages_without_rows_and_pages_that_are_damaged_are_left_alone() {
        for kind in [0, 1, 0xee] {
            assert!(unused(&page(kind, 0, 3, 300), 0).is_empty());
        }
        assert!(unused(&page(13, 0, 3, 513), 0).is_empty(), "the rows begin behind the page");
        assert!(unused(&page(13, 0, 200, 300), 0).is_empty(), "the index reaches into the rows");
        let mut circle = page(10, 400, 3, 300);
        circle[400..404].copy_from_slice(&[1, 0x90, 0, 8]);
        assert_eq!(unused(&circle, 0), [14..300, 404..408]);
        assert!(unused(&[13], 0).is_empty() && unused(&[], 0).is_empty());
    }
}
