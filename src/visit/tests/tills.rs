//! Stays of the whole box: one visit, whatever tills see the customer.
