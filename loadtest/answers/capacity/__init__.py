"""How much load does the service carry? A search, stage by stage, and the bottleneck."""
