"""What Redis runs for the store: a publication, and a read of records. `app.cache.withdrawals` has a third script.

Redis does not undo what a script that stops has written. So a publication looks at all that can fail before its first write:
keys of another type, a feed without an id left, commands that its user may not give. Before Redis 7 there is no asking for
the last; the feed's entry is written first there, which harms nobody without the rest. Want of memory, a replica and a disk
that fails refuse the first write of a script and no later one.
"""

from app.domain.vector import AS_OF_MAX_MS

CHECKED = """
for index, wanted in ipairs({'set', 'hash', 'stream'}) do
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
"""Refuses a set, a hash and a stream (KEYS) of other types, and a stream that has no id left."""

# KEYS: the set, the hash, the stream, then a key for each record.
# ARGV: run, warmed_at_ms, newest_as_of_ms, bars, bytes, prune, kept changes, symbols a change, prefix, then symbol, as_of_ms,
# value and history for each record (empty: none; it is a part of the price record, and not counted).
PUBLISH = (
    CHECKED
    + """
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

-- The newest record's time, and the key that holds it: -1 before there is one.
local newest, newest_key = -1, ''
local function consider(as_of, key)
  if as_of and as_of > newest then newest, newest_key = as_of, key end
end

-- What will be written, by index of KEYS, and each key's as_of then: a symbol may be named twice.
local writes, will_be, kept, changed, named = {}, {}, 0, {}, {}
for index = 4, #KEYS do
  local key, at = KEYS[index], 9 + (index - 4) * 4
  local symbol, as_of = ARGV[at + 1], tonumber(ARGV[at + 2])
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
    if not named[symbol] then gone[#gone + 1] = symbol end
  end
end
if #changed + #gone == 0 then return {0, kept, 0, ''} end

local function base_of(symbol) return ARGV[9] .. ':{' .. symbol .. '}' end
local function from_hash(field) return redis.call('HGET', KEYS[2], field) or '' end
-- The time that stands there is believed as far as the record that it is of has it: one that no record has would else be the
-- newest for ever. Where none has it, and where records are removed, all are looked at.
local before_key = from_hash('newest_key')
local witness = will_be[before_key] or stored_as_of(before_key)
if #gone == 0 and witness and witness >= (tonumber(from_hash('newest_as_of_ms')) or 0) then
  consider(witness, before_key)
else
  for _, symbol in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if #gone == 0 or named[symbol] then
      for _, part in ipairs({':price', ':agents'}) do
        local key = base_of(symbol) .. part
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
  for _, index in ipairs(writes) do
    local history = string.gsub(KEYS[index], ':price$', ':history')
    refused = refused or may('SET', KEYS[index], '') or may('SET', history, '') or may('DEL', history)
  end
  for _, symbol in ipairs(gone) do
    local base = base_of(symbol)
    refused = refused or may('DEL', base .. ':price', base .. ':agents', base .. ':history') or may('SREM', KEYS[1], symbol)
  end
  if refused then return refused end
end

local last, step = '', tonumber(ARGV[8])
local function tell(symbols, ...)
  for first = 1, #symbols, step do
    local some = table.concat(symbols, '\\n', first, math.min(first + step - 1, #symbols))
    last = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'run', ARGV[1], 'symbols', some, ...)
  end
end
tell(changed)
tell(gone, 'withdrawn', '1')
redis.call('HSET', KEYS[2], 'run', ARGV[1], 'warmed_at_ms', ARGV[2], 'newest_as_of_ms', string.format('%.0f', newest),
  'newest_key', newest_key, 'bars', ARGV[4], 'bytes', ARGV[5])
for _, symbol in ipairs(changed) do redis.call('SADD', KEYS[1], symbol) end
for _, index in ipairs(writes) do
  local at = 9 + (index - 4) * 4
  redis.call('SET', KEYS[index], ARGV[at + 3])
  if string.sub(KEYS[index], -6) == ':price' then
    local history = base_of(ARGV[at + 1]) .. ':history'
    if ARGV[at + 4] == '' then redis.call('DEL', history) else redis.call('SET', history, ARGV[at + 4]) end
  end
end
for _, symbol in ipairs(gone) do
  local base = base_of(symbol)
  redis.call('DEL', base .. ':price', base .. ':agents', base .. ':history')
  redis.call('SREM', KEYS[1], symbol)
end
redis.call('HSET', KEYS[2], 'symbols', redis.call('SCARD', KEYS[1]))
return {#writes, kept, #gone, last}
""".replace("AS_OF_MAX_MS", str(AS_OF_MAX_MS))
)

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
