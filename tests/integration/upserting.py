"""For tests of single records: a made-up global kind beside the made-up input."""

import msgspec

from app.domain.records import Kind
from app.domain.vector import fingerprint
from app.store.codec import encode
from app.store.protocol import Record
from tests.kit.moods import WITH_MOODS
from tests.kit.records import price_record


class ModelRecord(msgspec.Struct, array_like=True, frozen=True):
    """A global record, as a model is one."""

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    weight: float


MODEL = Kind(
    name="model",
    plural="models",
    decoder=msgspec.msgpack.Decoder(ModelRecord),
    schema=fingerprint("model-1"),
    fault=lambda _: None,
    scope="global",
)
KINDS_HERE = WITH_MOODS.adding(MODEL)


def model(key: str, as_of_ms: int, weight: float) -> Record:
    """One of them, to be upserted."""
    return Record("model", key, encode(ModelRecord(MODEL.schema, as_of_ms, as_of_ms, "", weight)))


def price(symbol: str, as_of_ms: int) -> Record:
    """A price that no run wrote, to be upserted."""
    return Record("price", symbol, encode(price_record(symbol, as_of_ms, "")))
