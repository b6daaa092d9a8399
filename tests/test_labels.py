"""The seven expressions and what others call them."""

import pytest

from fer_tasks.labels import EXPRESSIONS, expression_of


def test_the_order_is_fixed():
    assert EXPRESSIONS == ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_is_known_by_its_name_in_any_case(name):
    assert expression_of(name.upper()) == expression_of(f" {name.title()} ") == name


@pytest.mark.parametrize(
    ("alias", "name"),
    [("suprise", "surprise"), ("Anger", "angry"), ("HAPPINESS", "happy"), ("fearful", "fear")],
)
def test_other_names(alias, name):
    assert expression_of(alias) == name


@pytest.mark.parametrize("name", ["contempt", "", "train", "0_happy"])
def test_what_nobody_knows_is_none(name):
    assert expression_of(name) is None
