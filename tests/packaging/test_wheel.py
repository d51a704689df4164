"""The wheel, built and used outside the checkout, where no package of an extra can be imported.

What it needs otherwise comes from the running environment, so this shows that the wheel is complete and that
its base needs no extra; that the versions of a fresh resolution work is shown by `make install`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKED = (
    "accelerate", "beartype", "dask", "distributed", "evtools", "h5py", "hypothesis", "lightning",
    "pylatexenc", "pytest", "seglearn", "tensorboard", "torchbelief", "torchjd", "transformers",
)  # fmt: skip
PROGRAM = f"""
import sys
from importlib.machinery import PathFinder

class Others(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {BLOCKED!r} else super().find_spec(name, path, target)

sys.meta_path[:] = [Others if finder is PathFinder else finder for finder in sys.meta_path]
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel, and nothing else, is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:]
        pytest.skip(f"the wheel's build backend cannot be fetched or run: {said}")
    (wheel,) = folder.glob("bogc-*.whl")
    put = [*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)]
    subprocess.run(put, capture_output=True, check=True, timeout=300)
    return folder / "site"


def run(site: Path, code: str) -> str:
    """Run a program in an empty folder with the wheel first on the path; what it printed."""
    empty = site.parent / "elsewhere"
    empty.mkdir(exist_ok=True)
    started = f"import sys\nsys.path.insert(0, {str(site)!r})\n{PROGRAM}\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", started], cwd=empty, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_example_of_the_readme_runs(site: Path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", readme, re.DOTALL)
    printed = run(site, f"{code}\nimport bogc\nprint(bogc.__file__)")
    assert printed.splitlines()[-1].startswith(str(site))
    assert "uncertainty" in printed


def test_the_command_trains_and_names_the_extra_that_it_lacks(site: Path):
    command = "from bogc.cli import main\nimport bogc\nassert bogc.__file__.startswith({site!r})\n"
    command = command.format(site=str(site))
    asked = ["bogc", "train", "--dataset", "synthetic", "--epochs", "1", "--out", "runs"]
    assert "Run folder" in run(site, f"{command}sys.argv = {asked!r}\nmain()")
    lacking = f"""{command}
from bogc.errors import UnsuitableError
try:
    import bogc.methods.torchjd_view
except UnsuitableError as error:
    print(error)
"""
    assert "pip install 'bogc[peers]'" in run(site, lacking)


def test_the_wheel_has_the_types_and_the_licence_and_no_test(site: Path):
    assert (site / "bogc" / "py.typed").exists()
    names = {path.relative_to(site).parts[0] for path in site.rglob("*")}
    assert "bogc" in names
    assert {name for name in names if not name.startswith("bogc")} <= {"bin"}
    (info,) = site.glob("bogc-*.dist-info")
    assert (info / "licenses" / "LICENSE").exists()
    assert "arxiv.org/abs/2505.23071" in (info / "METADATA").read_text(encoding="utf-8")
