import pytest
from pydantic import ValidationError

from contrastive_context.config.statistics import Statistics
from contrastive_context.config.study import load_study
from contrastive_context.core.errors import UserError
from contrastive_context.scoring.metrics import METRICS


def test_some_min_effects_leave_the_other_defaults():
    found = Statistics(min_effects={"icl": 0.1}).min_effects
    assert found == Statistics().min_effects | {"icl": 0.1}
    assert Statistics(**Statistics(min_effects={"icl": 0.1}).model_dump()).min_effects == found


def test_every_metric_and_probe_has_a_minimum():
    assert {*METRICS, "iwl", "icl", "copy", "likelihood", "retention"} == set(Statistics().min_effects)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"token_acuracy": 0.1}, r"min_effects\.token_acuracy\.\[key\]"),
        ({"icl": -0.1}, "greater than or equal to 0"),
        ({"icl": float("nan")}, "finite"),
        (0.1, "dictionary"),
    ],
)
def test_mistakes_in_min_effects(given, message):
    with pytest.raises(ValidationError, match=message):
        Statistics(min_effects=given)


def test_the_message_names_the_key(study_config):
    with pytest.raises(UserError, match=r"statistics.min_effects.chrf: unknown key; did you mean 'chrf"):
        load_study(study_config | {"statistics": {"min_effects": {"chrf": 2}}})
