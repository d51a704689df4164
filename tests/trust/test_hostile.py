"""Hostile arguments: the outcome is right, or a typed error that leaves everything as it was."""

import json
from collections import Counter
from pathlib import Path

from tests.processes import CONTEXT


def work(path: Path) -> None:
    """Try everything in a process without the tests' import hook, which would refuse first."""
    from tests.trust.hostile import every

    path.write_text(json.dumps(every()), encoding="utf-8")


def test_no_argument_ends_in_a_bare_error_a_silent_wrong_or_a_half_changed_state(tmp_path: Path):
    process = CONTEXT.Process(target=work, args=(tmp_path / "found",), daemon=True)
    process.start()
    process.join(300)
    assert process.exitcode == 0
    found = json.loads((tmp_path / "found").read_text(encoding="utf-8"))
    bad = {case: verdict for case, verdict in found.items() if verdict not in ("typed", "right")}
    assert not bad
    counts = Counter(found.values())
    assert len(found) >= 1000
    assert counts["typed"] > counts["right"] > 100
