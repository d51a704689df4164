"""Time of MIMO's subroutine against that of multi-objective methods: arXiv 2511.06686."""
