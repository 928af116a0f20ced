"""The registry contract: its events, its transactions and the store kept equal to it."""
