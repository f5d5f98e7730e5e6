"""Writing single records to Redis: one script, which touches what is named and nothing else.

As in a publication, all that can fail comes before the first write (`app.store.redis_scripts`).
"""

from app.store.redis_script_parts import complete

# KEYS: those of `app.store.redis_script_parts`.
# ARGV: prefix, kept changes, symbols a change, then for each record kind, key, scope, 1 if changes carry its value, as_of_ms,
# sequence, value, number of parts, and name and value of each part (empty: none).
# The answer: records written, records left. An entry of values says in ``after`` which one was the last before it.
UPSERT = complete("""
local prefix, kept, step = ARGV[1], ARGV[2], tonumber(ARGV[3])
CHECK_KEYS
-- Array header, 16 characters of schema, as_of, loaded_at, run, then a sequence, if a number stands there. What has no such
-- header is no record, and is replaced.
READ_NUMBER
local function stored(key)
  local head = redis.pcall('GETRANGE', key, 0, 299)
  if type(head) ~= 'string' or #head < 20 then return nil end
  -- An array of more than 15 has two bytes more before its elements.
  if string.byte(head, 1) == 0xdc then head = '\\159' .. string.sub(head, 4) end
  local array, text = string.byte(head, 1), string.byte(head, 2)
  if array < 0x94 or array > 0x9f or text ~= 0xb0 then return nil end
  local as_of, at = number(head, 19)
  local loaded_at
  if as_of then loaded_at, at = number(head, at) end
  if not loaded_at or as_of >= AS_OF_MAX_MS then return nil end
  local length = string.byte(head, at)
  if length and length >= 0xa0 and length < 0xc0 then at = at + 1 + length - 0xa0
  elseif length == 0xd9 and #head > at then at = at + 2 + string.byte(head, at + 1)
  else return {as_of, 0} end
  return {as_of, number(head, at) or 0}
end

local writes, will_be, written, left, named, is_named, values = {}, {}, 0, 0, {}, {}, {}
local newest = tonumber(redis.call('HGET', KEYS[6], 'newest_as_of_ms')) or 0
local fresh, is_fresh = {}, {}
local function name(text)
  if not is_named[text] then named[#named + 1], is_named[text] = text, true end
end
local at = 4
while at <= #ARGV do
  local kind, key, scope, carried, as_of, sequence, value, parts = unpack(ARGV, at, at + 7)
  local base = prefix .. ':{' .. key .. '}:'
  local now = {tonumber(as_of), tonumber(sequence)}
  local before = will_be[base .. kind] or stored(base .. kind)
  if before and (before[1] > now[1] or (before[1] == now[1] and before[2] > now[2])) then
    left = left + 1
  else
    will_be[base .. kind] = now
    written = written + 1
    newest = math.max(newest, now[1])
    writes[#writes + 1] = {base .. kind, value}
    for index = 1, tonumber(parts) do
      writes[#writes + 1] = {base .. ARGV[at + 6 + 2 * index], ARGV[at + 7 + 2 * index]}
    end
    if scope == 'symbol' and not is_fresh[key] and redis.call('SISMEMBER', KEYS[1], key) == 0 then
      fresh[#fresh + 1], is_fresh[key] = key, true
      name(key)
    end
    if carried == '1' then values[#values + 1] = {kind .. ' ' .. key, value}
    elseif scope == 'symbol' then name(key)
    else name(kind .. ':' .. key) end
  end
  at = at + 8 + 2 * tonumber(parts)
end
if written == 0 then return {0, left} end

-- Redis does not undo what a script that is refused a command has written. Before 7.0 there is no asking beforehand.
if redis.acl_check_cmd then
  local commands = {{'SADD', KEYS[1], ''}, {'XADD', KEYS[3], '*', '', ''}, {'XADD', KEYS[5], '*', '', ''}, {'SADD', KEYS[4], ''},
    {'HSET', KEYS[6], '', ''}}
  for _, write in ipairs(writes) do
    commands[#commands + 1] = write[2] == '' and {'DEL', write[1]} or {'SET', write[1], ''}
  end
  for _, command in ipairs(commands) do
    if not redis.acl_check_cmd(unpack(command)) then
      return redis.error_reply('NOPERM this user may not ' .. command[1] .. ' ' .. command[2])
    end
  end
end

for first = 1, #named, step do
  local some = table.concat(named, '\\n', first, math.min(first + step - 1, #named))
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', kept, '*', 'run', '', 'symbols', some)
end
TELL_VALUES
tell_values(KEYS[5], KEYS[6], values)
redis.call('HSET', KEYS[6], 'newest_as_of_ms', string.format('%.0f', newest), 'at_ms', now_ms())
for _, symbol in ipairs(fresh) do
  redis.call('SADD', KEYS[1], symbol)
  redis.call('SADD', KEYS[4], symbol)
end
for _, write in ipairs(writes) do
  if write[2] == '' then redis.call('DEL', write[1]) else redis.call('SET', write[1], write[2]) end
end
return {written, left}
""")
