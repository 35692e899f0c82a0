"""How many workers? The capacity of each size of the pool, and the law that it follows."""
