"""Analyses: a network and its runs in, numbers out."""
