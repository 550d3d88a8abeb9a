//! Which customer is meant: by an id, or the beginning of an id or a name.
//!
//! Nothing is guessed: what fits more than one is refused.

use anyhow::Result;

use super::out;
use crate::customer::{Customer, CustomerId, PersonName};
use crate::store::{Store, StoreError};

/// Fewer characters of an id are a slip of the finger.
const LEAST_OF_ID: usize = 4;

/// The id of the one whom `who` names, and their name where it can be read. Those among whom it does not choose are listed.
pub(super) fn find(store: Option<&Store>, who: &str) -> Result<(CustomerId, Option<String>)> {
    if let Ok(id) = who.parse::<CustomerId>() {
        let store = store.ok_or(StoreError::UnknownCustomer(id))?;
        // Whose name is damaged can be named by the whole id, and forgotten.
        let name = match store.customer(id) {
            Ok(customer) => Some(customer.ok_or(StoreError::UnknownCustomer(id))?.name.full()),
            Err(StoreError::Sealed { .. } | StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        return Ok((id, name));
    }
    let all = store.map_or_else(|| Ok(Vec::new()), Store::customers)?;
    let found: Vec<&Customer> = all.iter().filter(|customer| fits(customer, who)).collect();
    match found.as_slice() {
        [one] => Ok((one.id, Some(one.name.full()))),
        [] => anyhow::bail!("nobody's id or name begins with \"{who}\"; look with `snova customers list`"),
        many => {
            many.iter().for_each(|one| out::line(format_args!("{}  {}", one.id, one.name.full())));
            anyhow::bail!("\"{who}\" may be any of these {}; give more of the name or of the id", many.len())
        }
    }
}

fn fits(customer: &Customer, who: &str) -> bool {
    let by_id = who.len() >= LEAST_OF_ID && customer.id.to_string().starts_with(&who.to_ascii_lowercase());
    by_id || begins(&customer.name, who)
}

/// Whether a name as people say it begins so: «Иван», «Иван Петр…», «Соколов», «Соколов Иван».
fn begins(name: &PersonName, who: &str) -> bool {
    let who = who.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let given = [Some(&name.given), name.patronymic.as_ref(), name.family.as_ref()];
    let family = [name.family.as_ref(), Some(&name.given), name.patronymic.as_ref()];
    let without = [Some(&name.given), name.family.as_ref(), None];
    let said = |order: [Option<&String>; 3]| {
        order.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ").to_lowercase().starts_with(&who)
    };
    !who.is_empty() && (said(given) || said(family) || said(without))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_how_people_begin_it() {
        let ivan = PersonName {
            patronymic: Some("Петрович".to_owned()),
            family: Some("Соколов".to_owned()),
            ..PersonName::given("Иван")
        };
        for who in ["иван", "ИВ", "Иван  Петр", "соколов", "Соколов Иван", "иван соколов", "Иван Петрович Соколов"]
        {
            assert!(begins(&ivan, who), "{who}");
        }
        for who in ["", " ", "Петрович", "Иванна", "Иван П.", "ван"] {
            assert!(!begins(&ivan, who), "{who}");
        }
    }
}
