"""Accuracy against cost: many networks, each run with several encodings, and the Pareto front among them."""
