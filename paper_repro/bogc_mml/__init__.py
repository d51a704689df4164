"""BOGC-MML (arXiv 2505.23071): what its abstract claims, tested; and which choices of ours to make."""
