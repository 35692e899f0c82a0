"""How many workers suffice? The capacity of each size of the pool, and the scalability law."""
