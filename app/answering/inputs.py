"""What an answer says of the inputs that a decision rests on."""

from msgspec import UNSET, Raw, UnsetType

from app.cache.memory import UNUSABLE
from app.domain.evidence import Evidence
from app.domain.policy import Judged
from app.domain.records import KINDS, TICK
from app.payloads import AgentsInput, Inputs, InputState, PriceInput, TickInput

_TICK = KINDS.inputs.index(TICK)
_NULL = Raw(b"null")


def inputs_of(judged: Judged, evidence: Evidence, make: type[Inputs]) -> Inputs:
    """The inputs' part of a response; ``make`` is `inputs_type` of those that there are."""
    summary, statuses, ages_s = judged.summary, judged.statuses, judged.ages_s
    price = PriceInput(statuses[0], ages_s[0])
    agents = AgentsInput(statuses[1], ages_s[1], summary.used, summary.abstained, summary.failed)
    tick, trouble = evidence.records[_TICK], evidence.troubles[_TICK]
    of_tick: TickInput | UnsetType = UNSET
    if tick is not None:
        unused = judged.tick_unused or UNSET
        of_tick = TickInput(statuses[_TICK], ages_s[_TICK], Raw(tick.price.encode()), tick.source, tick.coverage, unused)
    elif trouble is not None and trouble in UNUSABLE:
        of_tick = TickInput(statuses[_TICK], None, _NULL, None, None, trouble)
    if make is Inputs:
        return Inputs(price, agents, of_tick)
    return make(price, agents, of_tick, *map(InputState, statuses[_TICK + 1 :], ages_s[_TICK + 1 :]))
