"""From a network message to wired layers: select, splits, wiring, and what runs backward."""
