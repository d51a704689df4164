from dataclasses import asdict

from paper_repro.document import Picture
from paper_repro.experiments import EXPERIMENTS
from paper_repro.results import Results
from paper_repro.supplements import SUPPLEMENTS


def test_every_supplement_belongs_to_an_experiment_and_keeps_its_picture_in_its_folder():
    for name, supplement in SUPPLEMENTS.items():
        assert supplement.picture.startswith(f"{EXPERIMENTS[name].folder}/")


def test_the_picture_that_is_shown_is_the_one_that_is_drawn():
    for name, supplement in SUPPLEMENTS.items():
        config = asdict(EXPERIMENTS[name].quick)
        if name == "mimo-subroutine":
            config["sizes"] = []
        empty = Results(name, config, "x", {})
        shown = [block.name for block in supplement.blocks(empty) if isinstance(block, Picture)]
        assert shown == [supplement.picture]
