"""python -m theory.support.figure_product_form: draw the rounding errors of chapter 4 again."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from theory.support.rounding import EPS, readings

TARGET = Path(__file__).parents[1] / "figures" / "product_form_error.png"
WEIGHT = 2.0


def draw(target: Path = TARGET) -> None:
    """Relative errors of three float32 computations against the conflicting evidence, with their laws."""
    evidence = np.geomspace(1, 1e12, 700).astype(np.float32)
    found, t = readings(evidence, WEIGHT), evidence.astype(np.float64)
    laws = {
        "positive form: belief and evidence": (found.positive, np.full_like(t, 14 * EPS)),
        "divided by 1 − C: belief": (found.complement, EPS * t**2 / (WEIGHT * (WEIGHT + 2 * t))),
        "… and u = 1 − Σb: uncertainty": (found.remainder, 2 * EPS * t**3 / (WEIGHT**2 * (WEIGHT + 2 * t))),
    }
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    for (label, (error, law)), colour in zip(
        laws.items(), ("tab:blue", "tab:orange", "tab:red"), strict=True
    ):
        finite = np.isfinite(error)
        seen = law < 1e7 if finite.all() else t < t[~finite].min()
        axes.loglog(t[finite], error[finite], ".", ms=3, color=colour, label=label)
        axes.loglog(t[seen], law[seen], "-", lw=1, color=colour, alpha=0.6)
        broken = t[~finite]
        axes.plot(
            broken[::12],
            np.full_like(broken[::12], 3e6 if colour == "tab:red" else 6e5),
            "x",
            ms=4,
            color=colour,
        )
    axes.axhline(1, color="0.6", lw=0.8, ls=":")
    axes.text(1e9, 1.2e7, "× = division by zero", fontsize=8, color="0.3")
    axes.set(xlabel="evidence t of the sources (t, 0) and (0, t), W = 2", ylabel="relative error in float32")
    axes.set(ylim=(1e-9, 1e8), xlim=(1, 1e12))
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    draw()
