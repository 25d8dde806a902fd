"""How fast this project is, compared with others: `make bench` prints it (docs/benchmarks.md)."""
