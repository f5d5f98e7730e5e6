"""What the store's scripts for Redis have in common. Each is called with the same KEYS first: the set of symbols, the run's hash,
the stream of names, the set of upserted symbols, the stream of values, the hash of upserts.
"""

from app.domain.vector import AS_OF_MAX_MS
from app.store.protocol import VALUES_A_CHANGE, VALUES_A_CHANGE_BYTES, VALUES_KEPT_MS

# Redis does not undo what a script that stops has written, so these are looked at before the first write.
_CHECK_KEYS = """
for index, wanted in ipairs({'set', 'hash', 'stream', 'set', 'stream', 'hash'}) do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= 'none' and found ~= wanted then
    return redis.error_reply('WRONGTYPE ' .. KEYS[index] .. ' is a ' .. found .. ', not a ' .. wanted)
  end
  if found == 'stream' then
    local facts = redis.call('XINFO', 'STREAM', KEYS[index])
    for at = 1, #facts, 2 do
      if facts[at] == 'last-generated-id' and facts[at + 1] == '18446744073709551615-18446744073709551615' then
        return redis.error_reply('ERR ' .. KEYS[index] .. ' has no id left')
      end
    end
  end
end
"""

# An unsigned integer of msgpack, and where it ends; nil if none stands there. It has as few bytes as it needs.
_READ_NUMBER = """
local widths = {[0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8}
local function number(head, at)
  local first = string.byte(head, at)
  if not first then return nil, at end
  if first < 0x80 then return first, at + 1 end
  if not widths[first] or #head < at + widths[first] then return nil, at end
  local value = 0
  for position = at + 1, at + widths[first] do value = value * 256 + string.byte(head, position) end
  return value, at + 1 + widths[first]
end
"""

# Effects are replicated, and not scripts (since Redis 5), so that one may look at the clock and write.
_TELL_VALUES = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function tell_values(stream, hash, values)
  if #values == 0 then return end
  local last = redis.call('HGET', hash, 'last_id') or '0-0'
  local oldest = string.format('%.0f', math.max(now_ms() - VALUES_KEPT_MS, 0))
  local fields, bytes = {'after', last}, 0
  for index, value in ipairs(values) do
    fields[#fields + 1], fields[#fields + 2], bytes = value[1], value[2], bytes + #value[2]
    if index == #values or #fields > 2 * VALUES_A_CHANGE or bytes >= VALUES_A_CHANGE_BYTES then
      last = redis.call('XADD', stream, 'MINID', '~', oldest, '*', unpack(fields))
      fields, bytes = {'after', last}, 0
    end
  end
  redis.call('HSET', hash, 'last_id', last)
end
"""


def complete(script: str) -> str:
    """``script`` with these parts in the place of their names, and our numbers in that of theirs."""
    texts = {"CHECK_KEYS": _CHECK_KEYS, "READ_NUMBER": _READ_NUMBER, "TELL_VALUES\n": _TELL_VALUES}
    numbers = {
        "VALUES_KEPT_MS": VALUES_KEPT_MS,
        "VALUES_A_CHANGE_BYTES": VALUES_A_CHANGE_BYTES,
        "VALUES_A_CHANGE": VALUES_A_CHANGE,
        "AS_OF_MAX_MS": AS_OF_MAX_MS,
    }
    for name, text in texts.items():
        script = script.replace(name, text)
    for name, number in numbers.items():
        script = script.replace(name, str(number))
    return script
