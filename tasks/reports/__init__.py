"""What pages ask: reads only, of the rows and of Redis, with a bounded number of queries."""
