"""Taking back what was published to Redis: one script.

It looks at the header of every record there is, since what a run wrote is found no other way, and neither is what is the newest
of those that are left. All that can fail comes before the first write.
"""

from app.cache.scripts import CHECKED
from app.domain.vector import AS_OF_MAX_MS

# KEYS: the set, the hash, the stream. ARGV: prefix, run (empty: none), kept changes, symbols a change, then symbols. The answer:
# symbols, price records, agent records, runs, unknown symbols, symbols left, newest as_of_ms, its symbol, its run, change id.
WITHDRAW = (
    CHECKED
    + """
local prefix, run, step = ARGV[1], ARGV[2], tonumber(ARGV[4])

-- Array header, 16 characters of schema, as_of, loaded_at, run. Numbers stand in as few bytes as they need. What has no such
-- header is a record all the same, of no run and no time.
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
local function header(head)
  if type(head) ~= 'string' or #head < 20 then return {} end
  local array, text = string.byte(head, 1), string.byte(head, 2)
  if array < 0x94 or array > 0x9f or text ~= 0xb0 then return {} end
  local as_of, at = number(head, 19)
  local loaded_at
  if as_of then loaded_at, at = number(head, at) end
  if not loaded_at or as_of >= AS_OF_MAX_MS or loaded_at >= AS_OF_MAX_MS then return {} end
  local length, first = string.byte(head, at), at + 1
  if not length then return {} end
  if length >= 0xa0 and length < 0xc0 then length = length - 0xa0
  elseif length == 0xd9 and #head > at then length, first = string.byte(head, at + 1), at + 2
  else return {} end
  if #head < first + length - 1 then return {} end
  return {as_of = as_of, loaded_at = loaded_at, run = string.sub(head, first, first + length - 1)}
end

local function is_before(one, other, ...)
  for _, name in ipairs({...}) do
    if one[name] ~= other[name] then return one[name] < other[name] end
  end
  return false
end

local symbols, named, known, unknown = redis.call('SMEMBERS', KEYS[1]), {}, {}, {}
for _, symbol in ipairs(symbols) do known[symbol] = true end
for index = 5, #ARGV do
  local symbol = ARGV[index]
  local base = prefix .. ':{' .. symbol .. '}'
  if not named[symbol] and not known[symbol] then
    -- What somebody put there by hand would be served too.
    if redis.call('EXISTS', base .. ':price', base .. ':agents', base .. ':history') > 0 then symbols[#symbols + 1] = symbol
    else unknown[#unknown + 1] = symbol end
  end
  named[symbol] = true
end

local doomed, changed, gone, counts, runs, is_listed = {}, {}, {}, {[':price'] = 0, [':agents'] = 0}, {}, {}
local newest, last_loaded, runs_left = {as_of = 0, symbol = '', run = '', key = ''}, {loaded_at = -1}, {}
for _, symbol in ipairs(symbols) do
  local base = prefix .. ':{' .. symbol .. '}'
  local touched, left = named[symbol], 0
  if touched then doomed[#doomed + 1] = base .. ':history' end
  for _, part in ipairs({':price', ':agents'}) do
    local head = redis.pcall('GETRANGE', base .. part, 0, 299)
    if head ~= '' or redis.call('EXISTS', base .. part) == 1 then
      local found = header(head)
      if named[symbol] or (run ~= '' and found.run == run) then
        touched = true
        counts[part] = counts[part] + 1
        doomed[#doomed + 1] = base .. part
        if part == ':price' then doomed[#doomed + 1] = base .. ':history' end
        if found.run and not is_listed[found.run] then
          is_listed[found.run] = true
          runs[#runs + 1] = found.run
        end
      else
        left = left + 1
        if found.run then
          runs_left[found.run] = true
          found.symbol, found.key = symbol, base .. part
          if is_before(newest, found, 'as_of', 'symbol', 'run') then newest = found end
          if is_before(last_loaded, found, 'loaded_at', 'run') then last_loaded = found end
        end
      end
    end
  end
  if touched then
    changed[#changed + 1] = symbol
    if left == 0 then gone[#gone + 1] = symbol end
  end
end

-- Redis does not undo what a script that is refused a command has written. Before 7.0 there is no asking beforehand.
if redis.acl_check_cmd then
  local commands = {{'SREM', KEYS[1], ''}, {'HSET', KEYS[2], '', ''}, {'XADD', KEYS[3], '*', '', ''}}
  for _, key in ipairs(doomed) do commands[#commands + 1] = {'DEL', key} end
  for _, command in ipairs(commands) do
    if not redis.acl_check_cmd(unpack(command)) then
      return redis.error_reply('NOPERM this user may not ' .. command[1] .. ' ' .. command[2])
    end
  end
end

local last = ''
if #changed > 0 then
  -- The first write is one that a full Redis allows, so it allows all others. Then the feed's entry, which harms nobody alone.
  redis.call('DEL', prefix .. ':nothing')
  for first = 1, #changed, step do
    local some = table.concat(changed, '\\n', first, math.min(first + step - 1, #changed))
    last = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'run', run, 'symbols', some, 'withdrawn', '1')
  end
  for _, key in ipairs(doomed) do redis.call('DEL', key) end
  for _, symbol in ipairs(gone) do redis.call('SREM', KEYS[1], symbol) end
  if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('HSET', KEYS[2], 'newest_as_of_ms', string.format('%.0f', newest.as_of), 'newest_key', newest.key,
      'symbols', redis.call('SCARD', KEYS[1]))
    if last_loaded.run and not runs_left[redis.call('HGET', KEYS[2], 'run')] then
      redis.call('HSET', KEYS[2], 'run', last_loaded.run, 'warmed_at_ms', string.format('%.0f', last_loaded.loaded_at),
        'bars', 0, 'bytes', 0)
    end
  end
end
return {changed, counts[':price'], counts[':agents'], runs, unknown, redis.call('SCARD', KEYS[1]),
  string.format('%.0f', newest.as_of), newest.symbol, newest.run, last}
""".replace("AS_OF_MAX_MS", str(AS_OF_MAX_MS))
)
