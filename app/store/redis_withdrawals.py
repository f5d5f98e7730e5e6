"""Taking back what was published to Redis: one script.

It looks at the header of every record there is, since what a run wrote is found no other way, and neither is what is the newest
of those that are left. All that can fail comes before the first write.
"""

from app.store.redis_script_parts import complete

# KEYS: those of `app.store.redis_script_parts`.
# ARGV: prefix, run (empty: none), kept changes, symbols a change, whole kinds of symbols (a line each, with their
# parts; those that runs write begin with a *), then symbols. The answer:
# symbols, records of each kind, runs, unknown symbols, symbols left, newest as_of_ms, its symbol, its run, change id.
WITHDRAW = complete("""
local prefix, run, step = ARGV[1], ARGV[2], tonumber(ARGV[4])
CHECK_KEYS

-- Array header, 16 characters of schema, as_of, loaded_at, run. Numbers stand in as few bytes as they need. What has no such
-- header is a record all the same, of no run and no time.
READ_NUMBER
local function header(head)
  if type(head) ~= 'string' or #head < 20 then return {} end
  -- An array of more than 15 has two bytes more before its elements.
  if string.byte(head, 1) == 0xdc then head = '\\159' .. string.sub(head, 4) end
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

local kinds, of_symbols = {}, {}
for line in string.gmatch(ARGV[5], '[^\\n]+') do
  local kind = {parts = {}, of_runs = string.sub(line, 1, 1) == '*', count = 0}
  for name in string.gmatch(line, '[^%s*]+') do
    of_symbols[#of_symbols + 1] = name
    if kind.name then kind.parts[#kind.parts + 1] = name else kind.name = name end
  end
  kinds[#kinds + 1] = kind
end
local function base_of(symbol) return prefix .. ':{' .. symbol .. '}:' end
local function keys_of(symbol)
  local keys = {}
  for index, name in ipairs(of_symbols) do keys[index] = base_of(symbol) .. name end
  return keys
end

local symbols, named, known, unknown = redis.call('SMEMBERS', KEYS[1]), {}, {}, {}
for _, symbol in ipairs(symbols) do known[symbol] = true end
for index = 6, #ARGV do
  local symbol = ARGV[index]
  if not named[symbol] and not known[symbol] then
    -- What somebody put there by hand would be served too.
    if redis.call('EXISTS', unpack(keys_of(symbol))) > 0 then symbols[#symbols + 1] = symbol
    else unknown[#unknown + 1] = symbol end
  end
  named[symbol] = true
end

local doomed, changed, gone, runs, is_listed, values = {}, {}, {}, {}, {['']=true}, {}
local newest, last_loaded, runs_left = {as_of = 0, symbol = '', run = '', key = ''}, {loaded_at = -1}, {}
for _, symbol in ipairs(symbols) do
  local base = base_of(symbol)
  local touched, left = named[symbol], 0
  for _, kind in ipairs(kinds) do
    local key = base .. kind.name
    local head = redis.pcall('GETRANGE', key, 0, 299)
    local is_there = head ~= '' or redis.call('EXISTS', key) == 1
    local found = is_there and header(head) or {}
    local goes = is_there and (named[symbol] or (run ~= '' and found.run == run))
    if goes then
      touched = true
      kind.count = kind.count + 1
      doomed[#doomed + 1] = key
      if not kind.of_runs then values[#values + 1] = {kind.name .. ' ' .. symbol, ''} end
      if found.run and not is_listed[found.run] then
        is_listed[found.run] = true
        runs[#runs + 1] = found.run
      end
    elseif is_there then
      left = left + 1
      if found.run and kind.of_runs then
        found.symbol, found.key = symbol, key
        if is_before(newest, found, 'as_of', 'symbol', 'run') then newest = found end
        if found.run ~= '' then runs_left[found.run] = true end
        if found.run ~= '' and is_before(last_loaded, found, 'loaded_at', 'run') then last_loaded = found end
      end
    end
    if goes or named[symbol] then
      for _, part in ipairs(kind.parts) do doomed[#doomed + 1] = base .. part end
    end
  end
  if touched then
    changed[#changed + 1] = symbol
    if left == 0 then gone[#gone + 1] = symbol end
  end
end

-- Redis does not undo what a script that is refused a command has written. Before 7.0 there is no asking beforehand.
if redis.acl_check_cmd then
  local commands = {{'SREM', KEYS[1], ''}, {'SREM', KEYS[4], ''}, {'HSET', KEYS[2], '', ''}, {'XADD', KEYS[3], '*', '', ''},
    {'XADD', KEYS[5], '*', '', ''}, {'HSET', KEYS[6], '', ''}}
  for _, key in ipairs(doomed) do commands[#commands + 1] = {'DEL', key} end
  for _, command in ipairs(commands) do
    if not redis.acl_check_cmd(unpack(command)) then
      return redis.error_reply('NOPERM this user may not ' .. command[1] .. ' ' .. command[2])
    end
  end
end

TELL_VALUES
local last = ''
if #changed > 0 then
  -- The first write is one that a full Redis allows, so it allows all others. Then the feed's entry, which harms nobody alone.
  redis.call('DEL', prefix .. ':nothing')
  for first = 1, #changed, step do
    local some = table.concat(changed, '\\n', first, math.min(first + step - 1, #changed))
    last = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'run', run, 'symbols', some, 'withdrawn', '1')
  end
  tell_values(KEYS[5], KEYS[6], values)
  for _, key in ipairs(doomed) do redis.call('DEL', key) end
  for _, symbol in ipairs(gone) do
    redis.call('SREM', KEYS[1], symbol)
    redis.call('SREM', KEYS[4], symbol)
  end
  if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('HSET', KEYS[2], 'newest_as_of_ms', string.format('%.0f', newest.as_of), 'newest_key', newest.key,
      'symbols', redis.call('SCARD', KEYS[1]))
    if last_loaded.run and not runs_left[redis.call('HGET', KEYS[2], 'run')] then
      redis.call('HSET', KEYS[2], 'run', last_loaded.run, 'warmed_at_ms', string.format('%.0f', last_loaded.loaded_at),
        'bars', 0, 'bytes', 0)
    end
  end
end
local counts = {}
for index, kind in ipairs(kinds) do counts[index] = kind.count end
return {changed, counts, runs, unknown, redis.call('SCARD', KEYS[1]),
  string.format('%.0f', newest.as_of), newest.symbol, newest.run, last}
""")
