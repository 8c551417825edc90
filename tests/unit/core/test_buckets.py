import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from context_samples import EDGES
from contrastive_context.core.buckets import bounds_of, bucket_of


def test_lower_edges_belong_to_their_bucket():
    values = [0.0, 0.329999, 0.33, 0.669999, 0.67, 1.0, np.nan]
    expected = ["low", "low", "medium", "medium", "high", "high", "none"]
    assert bucket_of(values, EDGES).tolist() == expected
    assert bucket_of(np.array(values, dtype=np.float32), EDGES).tolist() == expected


def test_shape_is_kept():
    assert bucket_of(np.zeros((2, 3)), EDGES).shape == (2, 3)
    assert bucket_of(0.5, EDGES) == "medium"


@given(st.integers(0, 10**6))
def test_bounds_and_buckets_agree(millionths):
    value = millionths / 10**6
    inside = [name for name, (low, high) in bounds_of(EDGES).items() if low <= value < high]
    assert inside == [str(bucket_of(value, EDGES))]
