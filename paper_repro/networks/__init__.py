"""Networks of the papers, written after their released code."""
