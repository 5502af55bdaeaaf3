"""Maps of grids from text files: what a drawing in the spec gives, and what can be wrong."""

from pathlib import Path

import pytest

from mfdsl.bundle import bundle_of
from mfdsl.compiler.driver import compile_file, compile_text

MAP = "....\n.##B\n....\n"
POOL = '''model pool
objective nash
horizon 4
grid beach { map """
%s""" }
population bather as mu {
  state x : beach.cell ~ uniform(beach.B)
  action a : beach.move where free(x, a)
  x' = step(x, a)
  reward bar = -path_dist(x, beach.B) - mu[x]
}
'''
WRITTEN = POOL % MAP
READ = WRITTEN.replace(f'map """\n{MAP}"""', 'file "maps/walls.txt"')


def folder(path: Path, walls: str = MAP) -> Path:
    (path / "maps").mkdir()
    (path / "maps" / "walls.txt").write_text(walls)
    (path / "pool.mfg").write_text(READ)
    return path / "pool.mfg"


def test_a_map_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    read = compile_file(folder(tmp_path))
    model, written = read.require_model(), compile_text(WRITTEN).require_model()
    assert model.grids == written.grids and model.grids[0].rows == ("....", ".##B", "....")
    files = bundle_of(read)
    assert files["files/walls.txt"] == MAP.encode()
    assert b'grid beach { file "files/walls.txt" }' in files["spec.mfg"]


WRONG = {
    "....\n.#B\n": ("MFG010", "map row 2 has 3 cells, the rows above have 4"),
    "..-.\n": ("MFG010", "map row 1 holds '-'"),
    "\n": ("MFG010", "the map has no free cell"),
}


@pytest.mark.parametrize("walls", WRONG)
def test_a_wrong_map_is_reported_at_the_name_of_its_file(tmp_path: Path, walls: str) -> None:
    compilation = compile_file(folder(tmp_path, walls))
    (found,) = compilation.diagnostics
    assert (found.code, found.message) == WRONG[walls]
    text = compilation.sources[compilation.name].text
    assert text[found.labels[0].span.start :].startswith('"maps/walls.txt"')


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("walls.txt", "wall.txt", "cannot read data from `maps/wall.txt`"),
        ("walls.txt", "walls.csv", "cannot read data from `maps/walls.csv`"),
        ('"maps/walls.txt"', '"maps/walls.txt" map """\n..B\n"""', "this grid has two maps"),
        (
            '"maps/walls.txt"',
            '"maps/walls.txt" size 2, 2',
            "grid `beach` has both a map and a size",
        ),
    ],
)
def test_a_grid_has_one_map(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = folder(tmp_path)
    path.write_text(READ.replace(old, new))
    (found,) = compile_file(path).diagnostics
    assert found.message.startswith(message)
