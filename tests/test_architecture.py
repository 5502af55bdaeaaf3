"""The shape of the code: who imports whom, how long things are, what reaches a wheel."""

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]

# What a folder may import of the project, and which packages it must not import at all.
MAY_IMPORT = {
    "compiler": ("mfdsl.compiler",),
    "runtime": (
        "mfdsl.runtime",
        "mfdsl.compiler.ir.model",
        "mfdsl.compiler.ir.reduced",
        "mfdsl.compiler.ir.types",
        "mfdsl.compiler.ir.walk",
    ),
}
MUST_NOT_IMPORT = {
    "compiler": {"torch", "typer", "rich", "safetensors"},
    "runtime": {"lark", "typer", "sympy"},
}
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 80


def sources(folder: str) -> list[Path]:
    paths = (ROOT / folder).rglob("*.py")
    return sorted(p for p in paths if not any(part.is_symlink() for part in p.parents))


PRODUCT = [path for folder in ("mfdsl", "compiler", "runtime", "specs") for path in sources(folder)]
EVERYTHING = [*PRODUCT, *sources("bench"), *sources("tests")]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@dataclass(frozen=True)
class Outline:
    """Each imported module or member in full, with the level of the import; lines of functions."""

    imports: list[tuple[str, int]]
    lengths: list[tuple[str, int]]


@cache
def outline(path: Path) -> Outline:
    found = Outline([], [])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.imports.extend((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.imports.extend(
                (f"{node.module}.{alias.name}", node.level) for alias in node.names
            )
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.lengths.append((node.name, (node.end_lineno or node.lineno) - node.lineno + 1))
    return found


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_of_the_project_only_what_its_row_allows(folder: str) -> None:
    allowed = MAY_IMPORT[folder]
    strangers = [
        f"{name(path)}: {module}"
        for path in sources(folder)
        for module, _ in outline(path).imports
        if module.split(".")[0] == "mfdsl"
        and module != "mfdsl.__version__"
        and not any(module == prefix or module.startswith(f"{prefix}.") for prefix in allowed)
    ]
    assert strangers == []


@pytest.mark.parametrize("folder", MUST_NOT_IMPORT)
def test_a_folder_does_without_the_libraries_of_the_other_side(folder: str) -> None:
    strangers = [
        f"{name(path)}: {module}"
        for path in sources(folder)
        for module, _ in outline(path).imports
        if module.split(".")[0] in MUST_NOT_IMPORT[folder]
    ]
    assert strangers == []


def test_all_imports_are_absolute_and_name_the_package() -> None:
    relative = [
        f"{name(path)}: {module}"
        for path in EVERYTHING
        for module, level in outline(path).imports
        if level or module.split(".")[0] in ("compiler", "runtime", "specs")
    ]
    assert relative == []


def test_files_and_functions_stay_short() -> None:
    long = []
    for path in EVERYTHING:
        lines = path.read_text().count("\n")
        if lines > MAX_FILE_LINES:
            long.append(f"{name(path)}: {lines} lines")
        for function, length in outline(path).lengths:
            if length > MAX_FUNCTION_LINES:
                long.append(f"{name(path)}: {function} has {length} lines")
    assert long == []


def test_every_module_and_every_public_function_is_documented() -> None:
    silent = []
    for path in PRODUCT:
        tree = ast.parse(path.read_text())
        if ast.get_docstring(tree) is None:
            silent.append(name(path))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                stands_in = any(ast.unparse(d) == "overload" for d in node.decorator_list)
                if ast.get_docstring(node) is None and not stands_in:
                    silent.append(f"{name(path)}: {node.name}")
    assert silent == []


def packages_on_disk() -> set[str]:
    found = {"mfdsl"} | {f"mfdsl.{p.parent.name}" for p in (ROOT / "mfdsl").glob("*/__init__.py")}
    for folder in ("compiler", "runtime", "specs"):
        for path in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join(("mfdsl", *path.parent.relative_to(ROOT).parts)))
    return found


def test_the_list_of_packages_is_complete() -> None:
    assert set(SETUPTOOLS["packages"]) == packages_on_disk()
    assert SETUPTOOLS["packages"] == sorted(SETUPTOOLS["packages"])


def data_files() -> dict[str, Path]:
    """Every file that is not Python by its name inside the wheel."""
    found = {}
    for package, folder in SETUPTOOLS["package-dir"].items():
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT / folder)
            linked = any((ROOT / folder / part).is_symlink() for part in [*inside.parents, inside])
            cached = "__pycache__" in inside.parts
            if path.is_file() and not linked and not cached and path.suffix != ".py":
                found["/".join((*package.split("."), *inside.parts))] = inside
    return found


def test_every_data_file_is_matched_by_a_pattern() -> None:
    missing = []
    for wheel_name in data_files():
        package = max(
            (
                p
                for p in SETUPTOOLS["package-data"]
                if wheel_name.startswith(p.replace(".", "/") + "/")
            ),
            key=len,
        )
        inside = wheel_name.removeprefix(package.replace(".", "/") + "/")
        patterns = [pattern.removeprefix("**/") for pattern in SETUPTOOLS["package-data"][package]]
        if not any(fnmatch(inside, p) or fnmatch(Path(inside).name, p) for p in patterns):
            missing.append(wheel_name)
    assert missing == []


def test_the_wheel_holds_every_module_and_data_file_and_no_other_package(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in ("mfdsl", "compiler", "runtime", "specs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, tmp_path / file)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build, str(tmp_path / "dist")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    modules = set()
    for package in SETUPTOOLS["packages"]:
        folder = ROOT / package.replace("mfdsl.", "", 1).replace(".", "/")
        folder = folder if folder.is_dir() else ROOT / package.replace(".", "/")
        modules |= {f"{package.replace('.', '/')}/{path.name}" for path in folder.glob("*.py")}
    assert (modules | set(data_files())) - inside == set()
    assert {entry.split("/")[0].split("-")[0] for entry in inside} == {"mfdsl"}
