"""The peers: what runs in their environments, and imports nothing of this project's apps."""
