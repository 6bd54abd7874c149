//! Where the rows of a list are on the screen, so that they can be clicked.

use std::cell::RefCell;
use std::ops::Range;

/// Rows of the screen that show the rows of a list, as they were drawn last.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn(RefCell<Vec<(Range<u16>, usize)>>);

impl Drawn {
    /// Forgets all rows, before the list is drawn again.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Notes that these rows of the screen show the row with this index.
    pub(super) fn push(&self, rows: Range<u16>, index: usize) {
        self.0.borrow_mut().push((rows, index));
    }

    /// Returns the index of the row that a row of the screen shows; `None` if it shows none.
    pub(super) fn at(&self, y: u16) -> Option<usize> {
        self.0.borrow().iter().find(|(rows, _)| rows.contains(&y)).map(|(_, index)| *index)
    }
}
