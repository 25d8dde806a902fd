"""An app with task functions for the tests that run real workers."""
