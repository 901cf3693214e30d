"""What the service says: one file per language, and the module that reads them."""
