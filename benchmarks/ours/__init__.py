"""Our side: what runs in this project's own environment."""
