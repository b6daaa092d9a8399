"""A source that lies where the project itself writes is refused before anything of it is removed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fer_tasks.sources import apart
from fer_tasks.sources.apart import refuse_source_in_outputs
from fer_tasks.sources.errors import SourceError
from flows.run import run as run_all
from testing.project_copy import change_params, copy_project
from tests.project import run

STAGES = yaml.safe_load((Path(__file__).parents[1] / "dvc.yaml").read_text())["stages"]
OUTPUTS = [out for stage in STAGES.values() for out in [*stage["outs"], *stage.get("metrics", [])]]


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a photo")
    return path


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("data/raw", "is data/ or lies in it"),
        ("data", "is data/ or lies in it"),
        ("data/photos", "is data/ or lies in it"),
        ("photos/../data/faces", "is data/ or lies in it"),
        ("models", "is models/ or lies in it"),
        ("reports/plots", "is reports/ or lies in it"),
        (".cache/sample", "is .cache/ or lies in it"),
        (".", "contains data/"),
        ("..", "contains data/"),
        ("link/to/raw", "is data/ or lies in it"),
        ("list.csv", "names pictures in data/faces, which lies in data/"),
        ("linked.csv", "which lies in data/"),
        ("data/list.csv", "is data/ or lies in it"),
    ],
)
def test_what_is_holds_or_lies_in_an_output_is_refused(tmp_path, monkeypatch, source, fault):
    project = tmp_path / "project"
    for folder in ("photos", "data/raw", "data/faces", "link"):
        (project / folder).mkdir(parents=True)
    monkeypatch.chdir(project)
    Path("link/to").symlink_to(project / "data")
    Path("photos/a.jpg").symlink_to(photo(project / "data" / "raw" / "a.jpg"))
    Path("list.csv").write_text("file,label\ndata/faces/a.jpg,happy\n")
    Path("linked.csv").write_text("file,label\nphotos/b.jpg,happy\nphotos/a.jpg,happy\n")
    Path("data/list.csv").write_text("file,label\na.jpg,happy\n")
    with pytest.raises(SourceError) as caught:
        refuse_source_in_outputs(Path(source))
    assert f"download.source: {source} {fault}" in str(caught.value) or fault in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "source", ["photos", "sources/sample.yaml", "data-2", "nowhere", "list.csv", "\0", "x" * 5000, "loop"]
)
def test_other_sources_are_not(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    Path("list.csv").write_text("file,label\nphotos/a.jpg,happy\n\0/b.jpg,sad\n")
    refuse_source_in_outputs(Path(source))


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Path]:
    """A folder under two names, neither of which is a link, where mounting one is permitted."""
    one, other = tmp_path / "project" / "data", tmp_path / "elsewhere"
    for folder in (one, other):
        folder.mkdir(parents=True)
    if subprocess.run(["mount", "--bind", str(one), str(other)], capture_output=True).returncode:
        pytest.skip("wants to mount a folder")
    try:
        yield other
    finally:
        subprocess.run(["umount", str(other)], check=True)


def test_an_output_is_known_by_another_name(bound, tmp_path):
    """As on a disk without regard to case, where Data/RAW is data/raw."""
    (bound / "raw").mkdir()
    with pytest.raises(SourceError, match="is data/ or lies in it"):
        refuse_source_in_outputs(bound / "raw", tmp_path / "project")


def test_every_output_is_looked_at_and_left_to_its_stage():
    assert all(isinstance(out, dict) and all(flags["persist"] for flags in out.values()) for out in OUTPUTS)
    paths = [Path(path) for out in OUTPUTS for path in out]
    assert {path.parts[0] for path in paths} <= set(apart.OUTPUTS)


@pytest.mark.slow
def test_no_way_to_start_a_run_touches_the_photos(tmp_path, monkeypatch):
    project = copy_project(tmp_path / "project")
    photos = {photo(project / "data" / stage / "happy" / "a.png") for stage in ("raw", "faces")}
    (project / "link").symlink_to(project / "data" / "faces")
    for source, *command in (
        ("data/raw", "dvc", "repro", "--single-item", "download"),
        ("data/faces", "dvc", "repro", "--single-item", "crop_faces"),
    ):
        change_params(project, download={"source": source})
        done = run(project, *command)
        said = [line for line in done.stderr.splitlines() if f"download.source: {source} is data/ or" in line]
        assert done.returncode and len(said) == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr and all(path.exists() for path in photos)
    change_params(project, download={"source": "data/raw"})
    done = run(project, "dvc", "repro")  # DVC itself refuses this one
    assert done.returncode and "dependency and an output" in done.stderr and all(p.exists() for p in photos)
    change_params(project, download={"source": "link"})
    monkeypatch.chdir(project)
    with pytest.raises(SourceError, match="download.source: link is data/ or"):
        run_all()
    assert all(path.exists() for path in photos)
