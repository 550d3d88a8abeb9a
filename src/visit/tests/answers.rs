//! What a cashier says where several tills are concerned, and of faces that exchange a name.
