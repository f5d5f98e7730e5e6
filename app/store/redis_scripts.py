"""What Redis runs for the store: a publication, and a read of records. `app.store.redis_withdrawals` has a third script.

Redis does not undo what a script that stops has written. So a publication looks at all that can fail before its first write:
keys of another type, a feed without an id left, commands that its user may not give. Before Redis 7 there is no asking for
the last; the feed's entry is written first there, which harms nobody without the rest. Want of memory, a replica and a disk
that fails refuse the first write of a script and no later one.
"""

from app.store.redis_script_parts import complete

# KEYS: those of `app.store.redis_script_parts`, then a key for each record.
# ARGV: run, warmed_at_ms, newest_as_of_ms, bars, bytes, prune, kept changes, symbols a change, prefix, kinds that runs write (a
# line each, with their parts), all kinds of symbols (*: changes carry them), then for each symbol, kind, as_of_ms, value and the
# values of as many parts as any kind has (empty: none; a part is not counted).
PUBLISH = complete("""
CHECK_KEYS

-- A record's as_of, from its first 27 bytes: array header, 16 characters of schema, then an unsigned integer, which msgpack
-- writes in as few bytes as it needs. Anything else in its place counts as no record, and is replaced.
local widths = {[0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8}
local function stored_as_of(key)
  local head = redis.pcall('GETRANGE', key, 0, 26)
  if type(head) ~= 'string' or #head < 27 then return nil end
  local array, text, integer = string.byte(head, 1), string.byte(head, 2), string.byte(head, 19)
  if array < 0x94 or array > 0x9f or text ~= 0xb0 then return nil end
  if integer < 0x80 then return integer end
  if not widths[integer] then return nil end
  local as_of = 0
  for position = 20, 19 + widths[integer] do as_of = as_of * 256 + string.byte(head, position) end
  -- A time that no record can have would else be the newest for ever.
  if as_of >= AS_OF_MAX_MS then return nil end
  return as_of
end

local kinds, parts_of, most_parts = {}, {}, 0
for line in string.gmatch(ARGV[10], '[^\\n]+') do
  local parts
  for name in string.gmatch(line, '%S+') do
    if parts then parts[#parts + 1] = name else
      parts = {}
      kinds[#kinds + 1], parts_of[name] = name, parts
    end
  end
  most_parts = math.max(most_parts, #parts)
end
local of_symbols = {}
local carried = {}
for mark, name in string.gmatch(ARGV[11], '(%*?)(%S+)') do
  of_symbols[#of_symbols + 1] = name
  if mark == '*' then carried[#carried + 1] = name end
end
local function place_of(index) return 12 + (index - 7) * (4 + most_parts) end
local function base_of(symbol) return ARGV[9] .. ':{' .. symbol .. '}:' end
local function keys_of(symbol)
  local keys = {}
  for index, name in ipairs(of_symbols) do keys[index] = base_of(symbol) .. name end
  return keys
end

-- The newest record's time, and the key that holds it: -1 before there is one.
local newest, newest_key = -1, ''
local function consider(as_of, key)
  if as_of and as_of > newest then newest, newest_key = as_of, key end
end

-- What will be written, by index of KEYS, and each key's as_of then: a symbol may be named twice.
local writes, will_be, kept, changed, named = {}, {}, 0, {}, {}
for index = 7, #KEYS do
  local key, at = KEYS[index], place_of(index)
  local symbol, as_of = ARGV[at], tonumber(ARGV[at + 2])
  local stored = will_be[key] or stored_as_of(key)
  named[symbol] = true
  if stored and stored > as_of then
    kept = kept + 1
    consider(stored, key)
  else
    consider(as_of, key)
    will_be[key] = as_of
    writes[#writes + 1] = index
    if changed[#changed] ~= symbol then changed[#changed + 1] = symbol end
  end
end

local gone = {}
if ARGV[6] == '1' then
  for _, symbol in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if not named[symbol] and redis.call('SISMEMBER', KEYS[4], symbol) == 0 then gone[#gone + 1] = symbol end
  end
end
-- What changes carry the values of is taken back by a change without one.
local values = {}
for _, symbol in ipairs(gone) do
  for _, kind in ipairs(carried) do
    if redis.call('EXISTS', base_of(symbol) .. kind) == 1 then values[#values + 1] = {kind .. ' ' .. symbol, ''} end
  end
end
if #changed + #gone == 0 then return {0, kept, 0, ''} end

local function from_hash(field) return redis.call('HGET', KEYS[2], field) or '' end
-- The time that stands there is believed as far as the record that it is of has it: one that no record has would else be the
-- newest for ever. Where none has it, and where records are removed, all are looked at.
local before_key = from_hash('newest_key')
local witness = will_be[before_key] or stored_as_of(before_key)
if #gone == 0 and witness and witness >= (tonumber(from_hash('newest_as_of_ms')) or 0) then
  consider(witness, before_key)
else
  for _, symbol in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if #gone == 0 or named[symbol] or redis.call('SISMEMBER', KEYS[4], symbol) == 1 then
      for _, kind in ipairs(kinds) do
        local key = base_of(symbol) .. kind
        if not will_be[key] then consider(stored_as_of(key), key) end
      end
    end
  end
end
if newest < 0 then newest = tonumber(ARGV[3]) end

if redis.acl_check_cmd then
  local function may(...)
    if redis.acl_check_cmd(...) then return nil end
    local name, key = ...
    return redis.error_reply('NOPERM this user may not ' .. name .. ' ' .. key)
  end
  local refused = may('SADD', KEYS[1], '') or may('HSET', KEYS[2], '', '') or may('XADD', KEYS[3], '*', '', '')
    or (#values > 0 and (may('XADD', KEYS[5], '*', '', '') or may('HSET', KEYS[6], '', ''))) or nil
  if #writes > 0 then refused = refused or may('SREM', KEYS[4], '') end
  for _, index in ipairs(writes) do
    local at = place_of(index)
    refused = refused or may('SET', KEYS[index], '')
    for number, part in ipairs(parts_of[ARGV[at + 1]]) do
      local key = base_of(ARGV[at]) .. part
      if ARGV[at + 3 + number] == '' then refused = refused or may('DEL', key) else refused = refused or may('SET', key, '') end
    end
  end
  for _, symbol in ipairs(gone) do
    refused = refused or may('DEL', unpack(keys_of(symbol))) or may('SREM', KEYS[1], symbol)
  end
  if refused then return refused end
end

TELL_VALUES
local last, step = '', tonumber(ARGV[8])
local function tell(symbols, ...)
  for first = 1, #symbols, step do
    local some = table.concat(symbols, '\\n', first, math.min(first + step - 1, #symbols))
    last = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'run', ARGV[1], 'symbols', some, ...)
  end
end
tell(changed)
tell(gone, 'withdrawn', '1')
tell_values(KEYS[5], KEYS[6], values)
redis.call('HSET', KEYS[2], 'run', ARGV[1], 'warmed_at_ms', ARGV[2], 'newest_as_of_ms', string.format('%.0f', newest),
  'newest_key', newest_key, 'bars', ARGV[4], 'bytes', ARGV[5])
local any_upserted = redis.call('EXISTS', KEYS[4]) == 1
for _, symbol in ipairs(changed) do
  redis.call('SADD', KEYS[1], symbol)
  if any_upserted then redis.call('SREM', KEYS[4], symbol) end
end
for _, index in ipairs(writes) do
  local at = place_of(index)
  redis.call('SET', KEYS[index], ARGV[at + 3])
  for number, part in ipairs(parts_of[ARGV[at + 1]]) do
    local key, value = base_of(ARGV[at]) .. part, ARGV[at + 3 + number]
    if value == '' then redis.call('DEL', key) else redis.call('SET', key, value) end
  end
end
for _, symbol in ipairs(gone) do
  redis.call('DEL', unpack(keys_of(symbol)))
  redis.call('SREM', KEYS[1], symbol)
end
redis.call('HSET', KEYS[2], 'symbols', redis.call('SCARD', KEYS[1]))
return {#writes, kept, #gone, last}
""")

# As MGET, but for values that are longer than a record can be: of those as much as tells that they are. Redis answers with whole
# values whatever their length, and three of 256 MB took 800 MB of the server's memory. A script is of one moment, as MGET is.
READ = """
local found = {}
for index, key in ipairs(KEYS) do
  local value = redis.pcall('GETRANGE', key, 0, ARGV[1])
  found[index] = type(value) == 'string' and value ~= '' and value
end
return found
"""

# The stream's newest id, without its entries, which may be of any length; nothing without a stream.
NEWEST_CHANGE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local facts = redis.call('XINFO', 'STREAM', KEYS[1])
for at = 1, #facts, 2 do
  if facts[at] == 'last-generated-id' then return facts[at + 1] end
end
"""

# A part of a set, as SSCAN has it: the cursor to go on from, then members, without those longer than ARGV[3] bytes.
READ_MEMBERS = """
local cursor, members = unpack(redis.call('SSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2]))
local found = {cursor}
for _, member in ipairs(members) do
  if #member <= tonumber(ARGV[3]) then found[#found + 1] = member end
end
return found
"""

# A hash, as names and values in turn; without those longer than ARGV[1] bytes: whoever asks holds all of the answer at once.
READ_HASH = """
local found = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #name <= tonumber(ARGV[1]) and redis.call('HSTRLEN', KEYS[1], name) <= tonumber(ARGV[1]) then
    found[#found + 1] = name
    found[#found + 1] = redis.call('HGET', KEYS[1], name)
  end
end
return found
"""
