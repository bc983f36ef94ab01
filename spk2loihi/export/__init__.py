"""From a trained student to its integer network."""
