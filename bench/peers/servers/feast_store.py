"""Feast's Python feature server on Redis: a look-up of the same symbols' price features. Runs in Feast's own environment.

``python feast_store.py FOLDER REDIS_HOST:PORT`` makes a repository in FOLDER from FOLDER/features.parquet (symbol,
event_timestamp, and a column a feature) and loads it into Redis; ``feast -c FOLDER serve`` then serves it.
"""

import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

_CONFIG = """project: peers
provider: local
registry: registry.db
online_store:
  type: redis
  connection_string: "{address}"
entity_key_serialization_version: 3
"""


def main(folder: Path, address: str) -> None:
    """Write the configuration, apply the definitions, push the rows."""
    (folder / "feature_store.yaml").write_text(_CONFIG.format(address=address), encoding="utf-8")
    source = folder / "features.parquet"
    frame = pd.read_parquet(source)
    symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)
    view = FeatureView(
        name="prices",
        entities=[symbol],
        ttl=timedelta(days=100_000),
        schema=[Field(name=name, dtype=Float64) for name in frame.columns if name not in {"symbol", "event_timestamp"}],
        source=FileSource(path=str(source), timestamp_field="event_timestamp"),
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([symbol, view])
    store.write_to_online_store("prices", frame)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
