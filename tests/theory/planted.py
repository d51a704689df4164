"""Wrong statements planted one at a time in a text held in memory, each of which must be caught.

``python -m tests.theory.planted`` prints the score. A fault is a text and what stands there once it is wrong.
"""

# ruff: noqa: E501 - a fault stands in one line

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from theory.chapters import DISPLAY, FOLDER
from theory.display import display_check
from theory.run import run


class Fault(NamedTuple):
    """One planted fault; ``old`` stands exactly once in the file."""

    file: str
    old: str
    new: str


DISPLAYS = (
    Fault("00_notation.md", r"= \frac1{N-1}\sum_{i=1}^N", r"= \frac1N\sum_{i=1}^N"),
    Fault("00_notation.md", r"\sum_{m=1}^M w_{md}\mu_{md}", r"\sum_{m=1}^M w_{md}^2\mu_{md}"),
    Fault("00_notation.md", r"\lVert g_{\mathrm{plain}}\rVert}{\lVert \hat g\rVert}", r"\lVert \hat g\rVert}{\lVert g_{\mathrm{plain}}\rVert}"),
    Fault("01_posterior.md", r"\mu=\frac{m/\tau^2+N\bar g/\sigma^2}", r"\mu=\frac{m/\tau^2-N\bar g/\sigma^2}"),
    Fault("01_posterior.md", r"a=a_0+\frac N2", r"a=a_0+N"),
    Fault("01_posterior.md", r"\Big(\frac{\kappa}{2\pi b'}\Big)^{1/2}", r"\Big(\frac{\kappa}{\pi b'}\Big)^{1/2}"),
    Fault("01_posterior.md", r"\frac{b'}{(a-1)\kappa}", r"\frac{b'}{(a+1)\kappa}"),
    Fault("01_posterior.md", r"w_d=(\tau^2+\varsigma_d)^{-2}", r"w_d=(\tau^2+\varsigma_d)^{-1}"),
    Fault("01_posterior.md", r"R=R_1+R_2+\delta^2\frac{n_1n_2}n", r"R=R_1+R_2-\delta^2\frac{n_1n_2}n"),
    Fault("01_posterior.md", r"\longrightarrow \frac{1+\lambda}{1-\lambda}", r"\longrightarrow \frac{1}{1-\lambda}"),
    Fault("01_posterior.md", r"2\sum_kw_k^2+\sum_kw_kw_{k+1}", r"\sum_kw_k^2+2\sum_kw_kw_{k+1}"),
    Fault("01_posterior.md", r"\frac{\beta^2(1-\beta)}{(1+\beta)(1+\beta^2)}>0", r"\frac{\beta^2(1-\beta)}{(1+\beta)(1+\beta^2)}<0"),
    Fault("01_posterior.md", r"\big(1+(N-1)\rho\big)", r"\big(1+N\rho\big)"),
    Fault("01_posterior.md", r"F(e)=\frac{\phi^2e}{1+(1-\phi^2)e}", r"F(e)=\frac{\phi e}{1+(1-\phi^2)e}"),
    Fault("01_posterior.md", r"\sum_k\eta_k-z_n\frac1N", r"\sum_k\eta_k+z_n\frac1N"),
    Fault("02_evidence.md", r"e\big|_{N=0}=0", r"e\big|_{N=0}=1"),
    Fault("02_evidence.md", r"=\frac{e_{\text{fixed prior}}(\ell)}{c^2}", r"=c^2e_{\text{fixed prior}}(\ell)"),
    Fault("02_evidence.md", r"K=\frac r{1+F+r}\le b", r"K=\frac r{1+F+r}\ge b"),
    Fault("02_evidence.md", r"\frac{\tau^2+\varsigma}{\tau^2+2\varsigma}\ge \frac12", r"\frac{\tau^2+\varsigma}{\tau^2+2\varsigma}\ge \frac13"),
    Fault("02_evidence.md", r"\log\frac{(2+x)(2+y)}{2+x+y}", r"\log\frac{(2+x)(2+y)}{1+x+y}"),
    Fault("03_opinion.md", r"\frac{P_k (\delta_{kl} - P_l)}{S + 1}", r"\frac{P_k (\delta_{kl} - P_l)}{S}"),
    Fault("03_opinion.md", r"\frac{W b_k}{V u + W (1 - u)}", r"\frac{V b_k}{V u + W (1 - u)}"),
    Fault("03_opinion.md", r"= \frac12 + (1 - u) \left(", r"= \frac12 + u \left("),
    Fault("04_dempster.md", r"\sum_{B \cap D = \varnothing}", r"\sum_{B \cap D \ne \varnothing}"),
    Fault("04_dempster.md", r"\sum_{\varnothing \ne B \subseteq A} m(B)", r"\sum_{B \subseteq A} m(B)"),
    Fault("04_dempster.md", r"- (K - 1) \prod_m u_m ,", r"- K \prod_m u_m ,"),
    Fault("04_dempster.md", r"(\tfrac{163}{3}, \tfrac{163}{3}, \tfrac{7}{3})", r"(\tfrac{163}{3}, \tfrac{163}{3}, \tfrac{8}{3})"),
    Fault("04_dempster.md", r"\frac{s^2}{1 - 3 s + s^2}", r"\frac{s^2}{1 - 3 s - s^2}"),
    Fault("04_dempster.md", r"\approx \varepsilon \frac{t^2}{W^2}", r"\approx \varepsilon \frac{t}{W}"),
    Fault("05_update.md", r"c_m=\frac{\kappa b_m^2}{\sum_l b_l}", r"c_m=\frac{\kappa b_m}{\sum_l b_l^2}"),
    Fault("05_update.md", r"\frac{M}{M-(M-1)\varepsilon}", r"\frac{M}{M-M\varepsilon}"),
    Fault("05_update.md", r"\frac{2gs^4}{(g^2-s^2)^2}", r"\frac{2gs^4}{(g^2+s^2)^2}"),
    Fault("05_update.md", r"-\rho\frac{c_{\max}-c_{\min}}2 \tag", r"-\rho\frac{c_{\max}+c_{\min}}2 \tag"),
    Fault("05_update.md", r"+\frac{L\eta S^2}{2\alpha} \tag", r"+\frac{L\eta S^2}{\alpha} \tag"),
    Fault("06_siblings.md", r"k_u = 1 - \tanh(\alpha \rho_u)", r"k_u = 1 + \tanh(\alpha \rho_u)"),
    Fault("06_siblings.md", r"\max_m f_m - \mu \log M \le S_\mu(f)", r"\max_m f_m + \mu \log M \le S_\mu(f)"),
    Fault("06_siblings.md", r"p(y)^{1 - M} \prod_m p(y | x_m) \cdot p(v = 1 | x, y) \tag", r"p(y)^{M - 1} \prod_m p(y | x_m) \cdot p(v = 1 | x, y) \tag"),
    Fault("06_siblings.md", r"\partial_W F = -x \hat h^\top", r"\partial_W F = x \hat h^\top"),
    Fault("06_siblings.md", r"\le \ell + n \log 2 \tag", r"\le \ell + \log 2 \tag"),
    Fault("07_laplace.md", r"\Big(\frac12\gamma_{pq}''^2+\gamma'_p", r"\Big(\frac12\gamma_{pq}''^2-\gamma'_p"),
    Fault("07_laplace.md", r"\frac{S-1}2-s\big)", r"\frac{S-1}2+s\big)"),
    Fault("07_laplace.md", r"\frac{e_de'_d}D", r"e_de'_d"),
)  # fmt: skip


def planted(fault: Fault, folder: Path = FOLDER) -> str:
    """Return the text of the file with the fault in it.

    Raises:
        ValueError: What is to be replaced does not stand there exactly once.
    """
    text = (folder / fault.file).read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.old!r} stands {text.count(fault.old)} times in {fault.file}")
    return text.replace(fault.old, fault.new)


def caught_by_reading(fault: Fault) -> bool:
    """Whether a display of the changed text does not say what it should."""
    displays = DISPLAY.findall(planted(fault))
    return not all(run(display_check(n, text)).passed for text, n in displays)


CATCHERS: dict[str, Callable[[Fault], bool]] = {".md": caught_by_reading}


def caught(fault: Fault) -> bool:
    """Whether the checks of such a file find the fault."""
    return CATCHERS[Path(fault.file).suffix](fault)


if __name__ == "__main__":
    missed = [fault for fault in DISPLAYS if not caught(fault)]
    for fault in missed:
        print(f"missed: {fault.file}: {fault.old} -> {fault.new}")
    print(f"{len(DISPLAYS) - len(missed)} of {len(DISPLAYS)} planted faults caught")
    sys.exit(bool(missed))
