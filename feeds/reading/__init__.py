"""PURE: what a document says, from its bytes: no Django, no database, no network."""
