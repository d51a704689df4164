"""Does gradient uncertainty predict anything? Posteriors held against the true gradient."""
