"""How fast this project is, beside others: `make bench` prints the table (docs/benchmarks.md)."""
