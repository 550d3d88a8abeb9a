//! CRMs that speak OData 4: Creatio and Microsoft Dynamics 365.

pub mod creatio;
pub mod dynamics;
