"""Rules that fuse opinions or mass functions; each module has one ``combine``."""

from bogc.combination import cautious, cumulative, dempster, reduced
from bogc.combination.sources import RULES, Rule

__all__ = ["RULES", "Rule", "cautious", "cumulative", "dempster", "reduced"]
