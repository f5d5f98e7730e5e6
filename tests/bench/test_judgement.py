"""What the peers answer: they decide by Decide's own policy, and say as much."""

from bench.peers.judgement import Judgement
from tests.kit.records import AS_OF_MS, agent_record, evidence_of, price_record


def test_a_peer_answers_in_the_shape_of_decide() -> None:
    answer = Judgement(AS_OF_MS).decide_plainly("AAPL", evidence_of(price_record(), agent_record()), hit=True)
    assert (answer["symbol"], answer["action"], answer["fallback"]) == (
        "AAPL",
        "buy",
        {"used": False, "level": "none", "reason": None},
    )
    assert answer["inputs"] == {
        "price": {"status": "present", "age_s": 0.0},
        "agents": {"status": "present", "age_s": 0.0, "used": 2, "abstained": 1, "failed": 0},
    }
