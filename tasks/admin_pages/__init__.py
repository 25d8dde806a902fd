"""The pages that `tasks.admin` registers."""
