"""JSON Schema of the configuration, for editors.

``python -m contrastive_context.config.schema > docs/config.schema.json`` writes it anew. It is made
from the typed model; cross-checks between entries are not in it.
"""

import json

from contrastive_context.config.study import Study


def schema_text() -> str:
    """Return the schema as indented JSON."""
    schema = Study.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "config.yaml", **schema}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
