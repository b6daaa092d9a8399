"""Figures that others published: read as they are, or refused with the line that is wrong."""

import numpy as np
import pytest

from fer_tasks.evaluation.published import BadFigures, parse_published
from fer_tasks.storage.files import write_text
from flows.grid.leaderboard import read_published
from tests.training_project import in_a_flow

HEAD = "cell,test_accuracy,test_loss\n"


def parse(text: str):
    return parse_published(text, "grids/published/x.csv")


def test_figures_and_whose_they_are():
    about, figures = parse(
        "# As published\n# by somebody.\n" + HEAD + "cnn-2,0.5453,1.2673\n\ncnn-1, 0.5 ,\n"
    )
    assert about == "As published by somebody."
    assert figures["cell"].tolist() == ["cnn-2", "cnn-1"] and figures["test_accuracy"].tolist() == [
        0.5453,
        0.5,
    ]
    assert figures["test_loss"].tolist()[0] == 1.2673 and np.isnan(figures["test_loss"][1])


def test_a_table_without_rows_has_no_figures():
    assert parse(HEAD).figures.empty


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x.csv: the first line after the # lines must be cell,test_accuracy,test_loss"),
        ("cell,accuracy\n", "must be cell,test_accuracy,test_loss"),
        (
            "# whose\n" + HEAD + "cnn-1,54.5,1\n",
            "line 3: test_accuracy: Input should be less than or equal to 1",
        ),
        (HEAD + "cnn-1,,1\n", "line 2: test_accuracy: Field required"),
        (HEAD + "cnn-1,much,1\n", "(it is 'much')"),
        (HEAD + "cnn-1,0.5,-1\n", "line 2: test_loss"),
        (HEAD + "cnn-1,nan,1\n", "line 2: test_accuracy"),
        (HEAD + "cnn-1,0.5\n", "line 2: it has 2 values, not cell,test_accuracy,test_loss"),
        (HEAD + "cnn-1,0.5,1\ncnn-1,0.5,1\n", "line 3: cnn-1 appears twice"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, said):
    with pytest.raises(BadFigures) as refused:
        parse(text)
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.slow
def test_published_figures_of_cells_that_the_grid_has_not_are_left_out(prefect, tmp_path, caplog):
    write_text(tmp_path / "x.csv", "cell,test_accuracy,test_loss\na,0.5,\ngone,0.6,\n")
    found = in_a_flow(read_published, "x", ["a", "b"], tmp_path)
    assert found.figures["cell"].tolist() == ["a", "gone"]  # the leaderboard has a row a cell of the grid
    assert any("x.csv: ignored, the grid has no such cell: gone" in line for line in caplog.messages)
    assert in_a_flow(read_published, "y", ["a"], tmp_path) is None
