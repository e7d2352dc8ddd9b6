//! Numbers in another type, where an earlier check keeps them within it.

use std::any::type_name;
use std::fmt::Display;

/// A number that fits another type.
pub trait Fit: Copy + Display {
    /// The same number as a `T`.
    ///
    /// # Panics
    /// If it does not fit: a check is missing, and going on would be wrong in silence. What comes from a file or from the
    /// user is converted with `try_from` and refused in words.
    #[track_caller]
    fn fit<T: TryFrom<Self>>(self) -> T {
        match T::try_from(self) {
            Ok(number) => number,
            Err(_) => panic!(
                "{self} is beyond {}, and no check refused it",
                type_name::<T>()
            ),
        }
    }
}

impl<N: Copy + Display> Fit for N {}

#[cfg(test)]
mod tests {
    use super::Fit;

    #[test]
    fn what_fits_is_kept() {
        assert_eq!(255_usize.fit::<u8>(), 255);
        assert_eq!((-1_i64).fit::<isize>(), -1);
    }

    #[test]
    #[should_panic(expected = "256 is beyond u8")]
    fn what_does_not_fit_is_not_changed() {
        256_usize.fit::<u8>();
    }
}
