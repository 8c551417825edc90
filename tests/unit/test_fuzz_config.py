"""Whatever stands at a key of the configuration, it is read or refused in words: never with a traceback."""

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrastive_context.config.study import load_study
from contrastive_context.errors import UserError

TEXTS = ("../x", "a/b", "\0")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a configuration."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
    return [(node, key) for key in keys] + [place for key in keys for place in places(node[key])]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_at_any_key(study_config, data):
    config = copy.deepcopy(study_config)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(config)))
        if data.draw(st.booleans()) or not isinstance(container, dict):
            container[key] = data.draw(values)
        else:
            container[data.draw(st.text(max_size=8) | st.integers())] = container.pop(key)
    try:
        load_study(config)
    except UserError as error:
        assert str(error).strip()
