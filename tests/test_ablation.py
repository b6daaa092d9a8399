"""What each step of the ablation learns from and is tested on; then the whole of it, on a small project."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.cleaning.ablation import (
    CLEAN,
    PEOPLE,
    RAW,
    STEPS,
    WRITING,
    changes,
    faces_to_test,
    training_sets,
)
from fer_tasks.cleaning.decisions import COLUMNS, Applied, apply_decisions, parse_decisions
from fer_tasks.cleaning.rules import LEAK, RULE_NAMES
from fer_tasks.cleaning.selection import select_faces
from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import load_settings
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.files import read_table
from flows.ablation import ablation
from flows.clean import clean
from testing.project_copy import change_params, copy_project
from tests.flow_runs import run_here
from tests.project import CELL, shrink, succeeds

N = 60
SPLITS = ("train", "train", "val", "test")


def face_id(i: int) -> str:
    return hashlib.sha256(str(i).encode()).hexdigest()[:16] + "-0"


FACES = pd.DataFrame(
    {
        "image_id": [face_id(i) for i in range(N)],
        "pixels": "p",
        "label": [EXPRESSIONS[i % 7] for i in range(N)],
        "split": [SPLITS[i % 4] for i in range(N)],
    }
)
DOUBTED = st.sets(st.tuples(st.integers(0, N - 1), st.sampled_from(RULE_NAMES)), max_size=60)
WRITTEN = FACES["image_id"].tolist()[:6]


def doubts(*pairs: tuple[int, str]) -> pd.DataFrame:
    rows = [{"image_id": face_id(i), "rule": rule, "detail": "d"} for i, rule in pairs]
    return pd.DataFrame(rows, columns=["image_id", "rule", "detail"])


def decided(*said: tuple[int, str, str, str]) -> Applied:
    lines = [f"{face_id(i)},p,{verdict},{label},{who},1," for i, verdict, label, who in said]
    table = parse_decisions("\n".join([",".join(COLUMNS), *lines]) + "\n")
    return apply_decisions(FACES[~FACES["image_id"].isin(WRITTEN)], table)


def ids(table: pd.DataFrame) -> set[str]:
    return set(table["image_id"])


@pytest.mark.slow
@given(DOUBTED)
@settings(max_examples=30, deadline=None)
def test_each_step_takes_the_faces_that_its_rule_doubts_and_no_others(pairs):
    doubted = doubts(*pairs)
    sets = training_sets(FACES, WRITTEN, doubted, decided(), ["profile"])
    assert tuple(sets) == STEPS
    learnt = FACES[FACES["split"] != "test"]
    assert ids(sets[RAW]) == ids(learnt) and ids(sets[WRITING]) == ids(learnt) - set(WRITTEN)
    before = sets[WRITING]
    for rule in RULE_NAMES:
        assert ids(before) - ids(sets[rule]) == ids(before) & ids(doubted[doubted["rule"] == rule])
        assert ids(sets[rule]) <= ids(before)
        before = sets[rule]
    assert ids(sets[PEOPLE]) == ids(before), "nobody said anything"


@pytest.mark.slow
@given(
    st.sets(st.tuples(st.integers(0, N - 1), st.sampled_from(RULE_NAMES)), max_size=60), st.integers(1, 20)
)
@settings(max_examples=30, deadline=None)
def test_no_step_learns_from_a_face_that_is_tested_on(pairs, enough):
    doubted = doubts(*pairs)
    said = decided(*((i, "relabel", "sad", "kim") for i in range(0, N, 3)))
    sets = training_sets(FACES, WRITTEN, doubted, said, ["profile"])
    test_ids = FACES[FACES["split"] == "test"]["image_id"].tolist()
    tested = faces_to_test(test_ids, doubted, said, enough)
    assert ids(tested) <= set(test_ids)
    assert all(not ids(table) & set(test_ids) and table["image_id"].is_unique for table in sets.values())


def test_people_bring_faces_back_take_others_and_change_labels():
    doubted = doubts((8, "profile"), (9, "covered"), (12, LEAK))
    said = decided(
        (8, "keep", "", "kim"),
        (9, "relabel", "sad", "kim"),
        (12, "keep", "", "kim"),
        (13, "reject", "", "kim"),
    )
    sets = training_sets(FACES, WRITTEN, doubted, said, ["profile"])
    label_doubt, people = sets["label_doubt"], sets[PEOPLE].set_index("image_id")["label"]
    assert set(people.index) == ids(label_doubt) - {face_id(13)} | {face_id(8), face_id(9)}
    assert people[face_id(9)] == "sad" and face_id(12) not in people.index, "a leak stays out"
    row = changes(sets).set_index("step").loc[PEOPLE]
    assert row[["removed", "added", "relabelled"]].tolist() == [1, 2, 0]


def test_clean_is_what_the_stage_keeps():
    doubted = doubts((8, "profile"), (9, "covered"), (16, "profile"), (12, LEAK))
    said = decided((16, "keep", "", "kim"))
    sets = training_sets(FACES, WRITTEN, doubted, said, ["profile"])
    kept, _ = select_faces(doubted, said, ["profile"])
    learnt = ids(kept) & ids(FACES[FACES["split"] != "test"])
    assert ids(sets[CLEAN]) == learnt and face_id(9) in learnt and face_id(8) not in learnt


def test_a_step_that_leaves_too_little_is_told():
    of_val = [(i, "dark") for i in range(N) if SPLITS[i % 4] == "val"]
    of_others = [(i, "blurred") for i in range(N) if SPLITS[i % 4] == "train" and i % 7]
    table = changes(training_sets(FACES, [], doubts(*of_val, *of_others), decided(), []))
    reasons = table.set_index("step")["reason"]
    assert reasons["small"] == "" and "val has no face" in reasons["dark"]
    assert reasons["blurred"].startswith("train has faces of fewer than two")
    assert reasons[CLEAN] == "", "no rule rejects"


TEST = [i for i in range(N) if SPLITS[i % 4] == "test" and i > 5]


def test_enough_judged_faces_are_the_test_set_as_people_decided():
    said = decided(
        (TEST[0], "keep", "", "kim"),
        (TEST[1], "relabel", "fear", "kim"),
        (TEST[2], "reject", "", "kim"),
        (TEST[3], "keep", "", "kim"),
        (TEST[3], "reject", "", "lee"),
    )
    test_ids = [face_id(i) for i in TEST]
    tested = faces_to_test(test_ids, doubts((TEST[0], "dark")), said, 2).set_index("image_id")
    assert set(tested.index) == {face_id(TEST[0]), face_id(TEST[1])} and tested["judged"].all()
    assert tested.loc[face_id(TEST[1]), "label"] == "fear" and tested.loc[face_id(TEST[0]), "doubted"]
    more = faces_to_test(test_ids, doubts((TEST[0], "dark"), (TEST[4], "dark")), said, 3)
    assert ids(more) == set(test_ids) - {face_id(TEST[k]) for k in (2, 3, 4)}
    assert more["judged"].sum() == 2, "what nobody judged and no rule doubts is added, and told apart"


# What follows runs the flow, on the data of the small project.

QUICK = {**CELL, "epochs": 1}
OFF = {
    "max_yaw": 9.0,
    "max_roll": 180.0,
    "max_second_face": 99.0,
    "min_eye_distance": 0.0,
    "min_brightness": 0.0,
    "max_brightness": 255.0,
    "min_contrast": 0.0,
    "min_sharpness": 0.0,
    "max_flatness": 1.0,
    "min_score": 0.0,
    "max_covered": 1.0,
    "min_copy_bits": 0,
    "max_copy_correlation": 1.0,
}


@pytest.fixture(scope="module")
def ablated(built, prefect, tmp_path_factory) -> Path:
    """A small project after `make ablation`.

    All rules but label_doubt doubt no face there: each set of faces that differs is three models to train.
    """
    project = shrink(copy_project(tmp_path_factory.mktemp("ablated")))
    subprocess.run(["cp", "-r", str(built / "data"), str(built / ".cache"), str(project)], check=True)
    rules = load_settings(project / "params.yaml").clean.rules.model_dump()
    change_params(project, clean={"rules": {**rules, **OFF}}, ablation={"training": QUICK})
    (project / "log.txt").write_text(run_here(project, clean, ablation))
    return project


def trainings(log: str) -> str:
    return log[log.index("different training sets") :].splitlines()[0]


def copied(ablated: Path, target: Path) -> Path:
    subprocess.run(["cp", "-r", str(ablated), str(target)], check=True)
    return target


@pytest.mark.slow
def test_one_table_one_picture_and_a_warning_that_nobody_judged(ablated):
    table = read_table(ablated / "reports" / "ablation.csv")
    assert table["step"].tolist() == list(STEPS)
    assert table["accuracy"].between(0, 1).all() and (table["accuracy_low"] <= table["accuracy_high"]).all()
    page = (ablated / "reports" / "ablation.html").read_text()
    assert page.count('src="data:image/png;base64,') == 1 and page.count("<table>") == 1
    tested = int((ablated / "log.txt").read_text().split(" test faces, 0 of them")[0].split()[-1])
    assert f"NOT JUDGED BY PEOPLE: {tested} of {tested} test faces" in (ablated / "log.txt").read_text()
    assert "Not judged by people" in page


@pytest.mark.slow
def test_its_last_step_learns_from_what_the_line_learns_from(ablated):
    cleaned = read_dataset(ablated / "data" / "clean").manifest
    last = read_table(ablated / "reports" / "ablation.csv").iloc[-1]
    assert last["train"] == (cleaned["split"] == "train").sum()
    assert last["val"] == (cleaned["split"] == "val").sum()


@pytest.mark.slow
def test_a_second_run_trains_nothing_and_one_seed_more_trains_that_seed(ablated, server, tmp_path):
    """The second run is a process, as `make ablation` starts one."""
    project = copied(ablated, tmp_path / "more")
    before = (project / "reports" / "ablation.csv").read_text()
    results = {"PREFECT_LOCAL_STORAGE_PATH": os.environ["PREFECT_LOCAL_STORAGE_PATH"]}
    said = trainings(succeeds(project, "flows.ablation", **server, **results))
    sets = int((project / "log.txt").read_text().split(" different training sets")[0].split()[-1])
    assert sets > 1 and f"0 models trained, {3 * sets} from the cache" in said
    assert (project / "reports" / "ablation.csv").read_text() == before
    change_params(project, ablation={"seeds": [0, 1, 2, 3]})
    assert f"{sets} models trained, {3 * sets} from the cache" in trainings(run_here(project, ablation))


@pytest.mark.slow
def test_what_people_say_changes_the_test_set_and_the_last_steps_alone(ablated, tmp_path):
    project = copied(ablated, tmp_path / "judged")
    cleaned = read_dataset(project / "data" / "clean").manifest
    test, train = (cleaned[cleaned["split"] == split] for split in ("test", "train"))
    lines = [f"{row.image_id},{row.pixels},keep,,kim,1," for row in test.head(9).itertuples()]
    lines += [f"{row.image_id},{row.pixels},reject,,kim,1," for row in train.head(2).itertuples()]
    (project / "review" / "decisions.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    change_params(project, ablation={"min_judged": 9})
    said = run_here(project, ablation)
    assert "9 test faces, 9 of them kept or relabelled by people" in said and "NOT JUDGED" not in said
    before = read_table(ablated / "reports" / "ablation.csv").set_index("step")
    after = read_table(project / "reports" / "ablation.csv").set_index("step")
    assert before.loc[:"label_doubt", "train"].equals(after.loc[:"label_doubt", "train"])
    assert after.loc[CLEAN, "train"] == before.loc[CLEAN, "train"] - 2
    assert re.search(r" [36] models trained", said), "of the last two steps, or of one where they agree"


@pytest.mark.slow
def test_the_line_does_not_run_it_and_leaves_its_pages_alone(built, ablated):
    assert "ablation" not in (built / "dvc.lock").read_text()
    assert not (built / "reports" / "ablation.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "lost", "said"),
    [
        ({}, "data/clean/dataset.json", "data/clean is missing or incomplete; run `dvc repro clean`"),
        ({"seeds": [0, 1]}, "", "ablation.seeds: List should have at least 3 items"),
        ({"seeds": [0, 1, 1]}, "", "seeds must differ"),
        ({"training": {"recipe": "gray99"}}, "", "no recipe 'gray99'; choose one of ['rgb32']"),
        ({"training": {"model": "resnt"}}, "", "no model 'resnt'; choose one of ['alizadeh_fazel', "),
    ],
)
def test_a_mistake_is_one_line(prefect, ablated, tmp_path, monkeypatch, change, lost, said):
    project = copied(ablated, tmp_path / "wrong")
    params = {**change}
    if "training" in change:
        params["training"] = {**QUICK, **change["training"]}
    change_params(project, ablation=params)
    if lost:
        (project / lost).unlink()
    monkeypatch.chdir(project)
    with pytest.raises(UserError) as told:
        ablation(load_settings())
    assert said in str(told.value) and "\n" not in str(told.value)
