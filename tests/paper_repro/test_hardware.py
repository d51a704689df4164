from pathlib import Path

from paper_repro.hardware import processor


def test_model_is_the_one_that_the_system_lists(tmp_path: Path):
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor : 0\nmodel name\t: Abacus 7: bead edition\nmodel name\t: another\n")
    assert processor(listed).startswith("Abacus 7: bead edition, ")


def test_without_a_list_there_is_still_a_name(tmp_path: Path):
    name, _, cores = processor(tmp_path / "absent").rpartition(", ")
    assert name
    assert cores.endswith(" cores")
