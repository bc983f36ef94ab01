"""Accuracy against cost: many networks, each run in several ways, and the Pareto front among them."""
