"""Digits from their halves: Sohn, Shang and Lee 2014."""
