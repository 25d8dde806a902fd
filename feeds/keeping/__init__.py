"""What becomes of entries: which is which, what is kept of them, and how they are found again."""
