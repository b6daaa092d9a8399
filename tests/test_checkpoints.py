"""Checkpoints on disk: whole or not there, and of one fingerprint."""

import numpy as np
import pytest

from fer_tasks.storage import checkpoints

ARRAYS = {"model.0": np.arange(6, dtype=np.float32).reshape(2, 3), "model.1": np.array(7, np.int64)}
ABOUT = {"fingerprint": "f", "rows": [{"loss": 0.1 + 0.2}], "seconds": 1.5}


def test_a_checkpoint_comes_back_as_it_was_and_goes(tmp_path):
    file = tmp_path / "checkpoints" / "a.b.npz"
    assert checkpoints.read_checkpoint(file, "f") is None
    checkpoints.write_checkpoint(file, ABOUT, ARRAYS)
    about, arrays = checkpoints.read_checkpoint(file, "f")
    assert about == ABOUT and arrays.keys() == ARRAYS.keys()
    assert all(np.array_equal(arrays[i], ARRAYS[i]) and arrays[i].dtype == ARRAYS[i].dtype for i in ARRAYS)
    checkpoints.drop_checkpoint(file)
    checkpoints.drop_checkpoint(file)
    assert not list(file.parent.iterdir())


def test_it_does_not_count_for_another_fingerprint(tmp_path):
    checkpoints.write_checkpoint(tmp_path / "a.npz", ABOUT, ARRAYS)
    assert checkpoints.read_checkpoint(tmp_path / "a.npz", "other") is None


def test_what_cannot_be_written_leaves_the_one_before(tmp_path):
    class Full:
        def __array__(self, *args, **kwargs):
            raise OSError("no space left on device")

    checkpoints.write_checkpoint(tmp_path / "a.npz", ABOUT, ARRAYS)
    with pytest.raises(OSError, match="no space"):
        checkpoints.write_checkpoint(
            tmp_path / "a.npz", {**ABOUT, "seconds": 2}, {**ARRAYS, "model.2": Full()}
        )
    assert checkpoints.read_checkpoint(tmp_path / "a.npz", "f")[0] == ABOUT


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_half_of_one_is_none(tmp_path, share):
    file = tmp_path / "a.npz"
    checkpoints.write_checkpoint(file, ABOUT, ARRAYS)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    assert checkpoints.read_checkpoint(file, "f") is None


def test_what_a_killed_process_had_not_finished_is_removed(tmp_path):
    checkpoints.write_checkpoint(tmp_path / "a.npz", ABOUT, ARRAYS)
    (tmp_path / ".a.partial").write_bytes(b"cut")
    checkpoints.drop_partial_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    checkpoints.drop_partial_checkpoints(tmp_path / "nowhere")
