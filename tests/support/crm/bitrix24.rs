//! STUB
use super::amocrm::FakeAmoCrm as FakeBitrix24Inner;
pub type FakeBitrix24 = FakeBitrix24Inner;
