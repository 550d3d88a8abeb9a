//! Ids that can travel: UUIDv7, minted on the box by its clock.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

macro_rules! id_newtype {
    ($name:ident, $what:literal) => {
        #[doc = concat!("The id of ", $what, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}
id_newtype!(CustomerId, "an enrolled customer");
id_newtype!(VisitId, "one stay of a customer at a counter");
