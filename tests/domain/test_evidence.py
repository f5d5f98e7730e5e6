"""Evidence names the warm run it is of."""

import msgspec

from app.domain.records import KINDS
from tests.kit.records import agent_record, evidence_of, price_record


def test_the_run_is_that_of_the_record_loaded_last() -> None:
    """Prices and agents may come from different runs; the newer one is named."""
    old, new = price_record(run="old"), agent_record(run="new")
    assert evidence_of(old, msgspec.structs.replace(new, loaded_at_ms=old.loaded_at_ms + 1)).run == "new"
    assert evidence_of(old, msgspec.structs.replace(new, loaded_at_ms=old.loaded_at_ms - 1)).run == "old"


def test_one_record_names_its_own_run_and_none_names_none() -> None:
    assert evidence_of(price_record(run="a"), None).run == "a"
    assert evidence_of(None, agent_record(run="b")).run == "b"
    assert KINDS.unread("l2_error").run is None
