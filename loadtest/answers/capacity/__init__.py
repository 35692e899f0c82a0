"""How much does it carry? One search, stage by stage, and what limits it."""
