//! A receipt: what was bought at a visit, as the point of sale says it.
//!
//! Which visit it belongs to and where it is kept is `crate::store`'s.

/// What was bought, as the point of sale says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub number: String,
    /// In hundredths of the shop's currency.
    pub sum: i64,
}

/// Why something is no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("a receipt's number has 1 to 64 printable characters")]
    Number,
    #[error("a receipt's sum is given in hundredths, from -1000000000000 to 1000000000000")]
    Sum,
}

const MOST_CHARACTERS: usize = 64;
const MOST: i64 = 1_000_000_000_000;

impl Receipt {
    /// A receipt whose number and sum can be ones; spaces around the number are dropped.
    pub fn checked(number: &str, sum: i64) -> Result<Self, ReceiptError> {
        let number = number.trim();
        let characters = number.chars().count();
        if !(1..=MOST_CHARACTERS).contains(&characters) || number.chars().any(char::is_control) {
            return Err(ReceiptError::Number);
        }
        if !(-MOST..=MOST).contains(&sum) {
            return Err(ReceiptError::Sum);
        }
        Ok(Self { number: number.to_owned(), sum })
    }

    /// The sum with its decimal point: "1234.50".
    pub fn decimal(&self) -> String {
        let sign = if self.sum < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", self.sum.unsigned_abs() / 100, self.sum.unsigned_abs() % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_short_and_printable_and_a_sum_within_bounds() {
        let number = |text: &str| Receipt::checked(text, 1).map(|receipt| receipt.number);
        assert_eq!(number(" A-17/3 "), Ok("A-17/3".to_owned()));
        assert_eq!(number(&"ч".repeat(64)), Ok("ч".repeat(64)));
        for refused in ["", "  ", "1\n2", &"9".repeat(65)] {
            assert_eq!(number(refused), Err(ReceiptError::Number), "{refused:?}");
        }
        for sum in [MOST + 1, -MOST - 1, i64::MIN] {
            assert_eq!(Receipt::checked("1", sum), Err(ReceiptError::Sum));
        }
        assert_eq!(Receipt::checked("1", -MOST).map(|receipt| receipt.decimal()), Ok("-10000000000.00".to_owned()));
    }

    #[test]
    fn a_sum_is_said_with_two_places() {
        let said = |sum| Receipt { number: String::new(), sum }.decimal();
        assert_eq!([123_450, 5, -5, 0].map(said), ["1234.50", "0.05", "-0.05", "0.00"]);
    }
}
