//! Whom the counter would recognise now, for the commands that only look.
//!
//! Nothing is written here, and no database is made where there is none.

use std::collections::HashMap;

use anyhow::Result;

use crate::config::Config;
use crate::customer::CustomerId;
use crate::enrolment::load_gallery;
use crate::gallery::Gallery;
use crate::vision::PackFacts;

/// The gallery of customers with a live consent, and the names of all.
pub(super) struct Known {
    pub gallery: Gallery,
    names: HashMap<CustomerId, String>,
}

impl Known {
    /// The configured store's customers; nobody where there is no store yet.
    pub fn load(config: &Config, pack: &PackFacts) -> Result<Self> {
        let Some(store) = super::existing_store(config)? else {
            return Ok(Self { gallery: Gallery::empty(pack.dimension), names: HashMap::new() });
        };
        let today = super::today(config, &*super::trusted_clock(Some(&store)));
        let gallery = load_gallery(&store, pack, today)?;
        let names = store.customers()?.into_iter().map(|c| (c.id, c.name.full())).collect();
        Ok(Self { gallery, names })
    }

    pub fn name(&self, customer: CustomerId) -> &str {
        self.names.get(&customer).map_or("(erased)", String::as_str)
    }
}
