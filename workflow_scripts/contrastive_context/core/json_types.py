"""JSON objects for type checkers: what their keys hold is known only where a document is read."""

from collections.abc import Mapping
from typing import Any

JsonDict = dict[str, Any]
JsonMapping = Mapping[str, Any]
