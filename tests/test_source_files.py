"""What params.yaml names as a source is read by its kind, and by no other."""

from typing import Literal

import pytest

from fer_tasks.settings.section import Section
from fer_tasks.settings.source import SOURCES
from flows.source_files import as_folder, fingerprint


@pytest.mark.parametrize("read", [as_folder, fingerprint])
def test_a_kind_without_a_reader_is_not_read_as_another(tmp_path, monkeypatch, read):
    class Archive(Section):
        kind: Literal["archive"]

    monkeypatch.setitem(SOURCES, "archive", Archive)
    (tmp_path / "mine.yaml").write_text("kind: archive\n")
    with pytest.raises(AssertionError, match="Archive"):
        read(tmp_path / "mine.yaml")


def test_a_folder_is_read_where_it_lies(tmp_path):
    assert as_folder(tmp_path) == (tmp_path, {})


def test_the_sample_changes_with_its_description(tmp_path):
    description = tmp_path / "sample.yaml"
    seen = []
    for seed in (7, 2021):
        description.write_text(f"kind: sample\ntrain_per_class: 8\ntest_per_class: 4\nseed: {seed}\n")
        seen += [fingerprint(description), fingerprint(description)]
    assert seen[0] == seen[1] != seen[2] == seen[3]
