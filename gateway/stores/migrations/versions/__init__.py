"""One file per step of the schema, written out: a released step never changes again."""
