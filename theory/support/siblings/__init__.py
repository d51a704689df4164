"""Checks of chapter 6: what its formulas are compared with, by group of methods."""
