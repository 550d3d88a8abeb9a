//! What Snova writes on a contact so that it is found again: by which names the boxes know it, under which company key.
//!
//! One text field holds it: `snova:3f9a1c22 067g0c40k5sra2j6q2v3w1rmf4 067h…`. Each box adds and removes its own name and
//! leaves the others', and whatever else stands there, as they are.

use std::fmt;

use uuid::Uuid;

use crate::customer::CustomerId;

/// Crockford's letters, in small: no vendor's search cuts a word of them in two.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const COMPANY: &str = "snova:";

/// A contact's mark. `Debug` prints ids alone, as all of it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The fingerprint of the company key under which the contact was marked.
    pub company: Option<String>,
    customers: Vec<CustomerId>,
    /// Words that are none of ours.
    others: Vec<String>,
}

impl Mark {
    /// Reads what stands in the field. An id alone, as version 0.3.0 wrote it, is a mark too.
    pub fn read(text: &str) -> Self {
        let mut mark = Self::default();
        for word in text.split_whitespace() {
            if let Some(company) = word.strip_prefix(COMPANY) {
                mark.company = Some(company.to_owned());
            } else if let Some(customer) = read_word(word) {
                mark.customers.push(customer);
            } else {
                mark.others.push(word.to_owned());
            }
        }
        mark
    }

    /// As it stands in the field; empty where no box knows the contact and nobody else wrote there.
    pub fn text(&self) -> String {
        let company = self.company.iter().filter(|_| !self.customers.is_empty()).map(|own| format!("{COMPANY}{own}"));
        let customers = self.customers.iter().map(|customer| word_of(*customer));
        company.chain(customers).chain(self.others.iter().cloned()).collect::<Vec<_>>().join(" ")
    }

    pub fn bears(&self, customer: CustomerId) -> bool {
        self.customers.contains(&customer)
    }

    /// Whether no box knows the contact.
    pub fn is_empty(&self) -> bool {
        self.customers.is_empty()
    }

    /// The customers of all boxes that know the contact.
    pub fn customers(&self) -> &[CustomerId] {
        &self.customers
    }

    /// Whether the field holds something that is none of ours.
    pub fn is_foreign(&self) -> bool {
        !self.others.is_empty()
    }

    /// With the customer, under that company key; what is there stays.
    pub fn with(mut self, customer: CustomerId, company: &str) -> Self {
        if !self.bears(customer) {
            self.customers.push(customer);
        }
        self.company.get_or_insert_with(|| company.to_owned());
        self
    }

    /// Without the customer.
    pub fn without(mut self, customer: CustomerId) -> Self {
        self.customers.retain(|other| *other != customer);
        self
    }

    /// The words by which a contact that bears the customer is searched: as they are written now, and as 0.3.0 wrote them.
    pub fn words(customer: CustomerId) -> [String; 2] {
        [word_of(customer), customer.to_string()]
    }
}

/// A customer's id in 26 letters.
fn word_of(customer: CustomerId) -> String {
    let bits = customer.0.as_u128();
    let letter = |place: u32| char::from(LETTERS[(bits >> (5 * place) & 31) as usize]);
    (0..26).rev().map(letter).collect()
}

fn read_word(word: &str) -> Option<CustomerId> {
    if word.len() == 36 {
        return word.parse().ok().map(CustomerId);
    }
    if word.len() != 26 {
        return None;
    }
    let mut bits: u128 = 0;
    for (place, letter) in word.bytes().enumerate() {
        let value = LETTERS.iter().position(|known| *known == letter.to_ascii_lowercase())? as u128;
        if place == 0 && value > 7 {
            return None;
        }
        bits = bits << 5 | value;
    }
    Some(CustomerId(Uuid::from_u128(bits)))
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(number: u128) -> CustomerId {
        CustomerId(Uuid::from_u128(number))
    }

    #[test]
    fn each_box_adds_and_removes_its_own_name_and_leaves_the_rest() {
        let (ours, theirs) = (customer(u128::MAX - 5), customer(7));
        let both = Mark::read("").with(theirs, "3f9a1c22").with(ours, "3f9a1c22");
        let read = Mark::read(&both.text());
        assert_eq!(read, both);
        assert!(read.bears(ours) && read.bears(theirs));
        let left = read.without(ours);
        assert!(left.bears(theirs) && !left.bears(ours));
        assert_eq!(left.clone().without(theirs).text(), "", "the last one takes the key's fingerprint along");
        assert_eq!(left.company.as_deref(), Some("3f9a1c22"));
    }

    #[test]
    fn an_id_of_version_0_3_is_read_and_what_is_not_ours_is_kept() {
        let old = customer(0x0193_0000_0000_7000_8000_0000_0000_0001);
        let mark = Mark::read(&format!("ERP-77 {old}"));
        assert!(mark.bears(old) && mark.is_foreign());
        let text = mark.with(customer(9), "aa").text();
        assert!(text.ends_with(" ERP-77") && text.starts_with("snova:aa "), "{text}");
        assert_eq!(Mark::read(&text).customers(), [old, customer(9)]);
        assert!(Mark::words(old).iter().any(|word| text.contains(word.as_str())));
    }

    #[test]
    fn eight_boxes_fit_into_the_usual_field() {
        let mark = (0..8).fold(Mark::default(), |mark, number| mark.with(customer(number), "3f9a1c22"));
        assert!(mark.text().len() <= 250, "{}", mark.text().len());
    }
}
