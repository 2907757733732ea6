"""The Lua beside `scripts`: gaps noticed, losses restored, staff's word, things kept aside."""

from service.occupancy.scripts import STREAM

# KEYS meta stream gaps passed passed_at
# ARGV now_ms fresh_epoch stream_length grace_ms ask_every_ms gap_keep_ms passage_keep_ms
# returns device, JSON of the gaps to be asked for, ...
SWEEP = (
    STREAM
    + r"""
local meta, stream, gaps, passed, passed_at = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now, grace = tonumber(ARGV[1]), tonumber(ARGV[4])
local ask_every, keep, forget = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local epoch = opened(meta, ARGV[2])
local news, asks = {}, {}
local all = redis.call('HGETALL', gaps)
for i = 1, #all, 2 do
  local device, ranges, left, wanted, changed = all[i], cjson.decode(all[i + 1]), {}, {}, false
  local before = noticed(ranges)
  for _, range in ipairs(ranges) do
    if now - range[4] >= keep then
      changed = true
    else
      if range[5] == 0 and now - range[4] >= grace then
        range[5], changed = now, true
      end
      if range[5] > 0 and now - range[6] >= ask_every then
        range[6], changed = now, true
        wanted[#wanted + 1] = {range[1], range[2], range[3]}
      end
      left[#left + 1] = range
    end
  end
  if changed then
    if #left == 0 then
      redis.call('HDEL', gaps, device)
    else
      redis.call('HSET', gaps, device, cjson.encode(left))
    end
    local after = noticed(left)
    if after ~= before then
      put(news, 'g/' .. device, after)
    end
    if #wanted > 0 then
      put(asks, device, cjson.encode(wanted))
    end
  end
end
local old = redis.call('ZRANGEBYSCORE', passed_at, '-inf', now - forget, 'LIMIT', 0, 1000)
if #old > 0 then
  redis.call('HDEL', passed, unpack(old))
  redis.call('ZREM', passed_at, unpack(old))
end
tell(meta, stream, epoch, news, ARGV[3])
return asks
"""
)

# KEYS meta stream target; ARGV fresh_epoch stream_length prefix, then field and value, ...
# (an empty value removes the field)
OVERLAY = (
    STREAM
    + r"""
local epoch = opened(KEYS[1], ARGV[1])
local news = {}
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[3], ARGV[i])
  else
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
  end
  put(news, ARGV[3] .. ARGV[i], ARGV[i + 1])
end
return {epoch, tell(KEYS[1], KEYS[2], epoch, news, ARGV[2])}
"""
)

# KEYS meta stream boots lanes corrections marks
# ARGV fresh_epoch stream_length epoch_before now_ms, then field and value, ... (p l/ k/ m/)
# What is here already is newer and stays, but for lane totals: those add up, once an epoch, and are
# marked with the time from which they may lack what was lost.
RESTORE = (
    STREAM
    + r"""
local epoch, news = opened(KEYS[1], ARGV[1]), {}
if redis.call('HGET', KEYS[1], 'restored') == ARGV[3] then
  return epoch
end
local targets = {p = {KEYS[3], 2}, k = {KEYS[5], 3}, m = {KEYS[6], 3}}
for i = 5, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  local kind = string.sub(field, 1, 1)
  if kind == 'l' then
    local name = string.sub(field, 3)
    local now, before = redis.call('HGET', KEYS[4], name), cjson.decode(value)
    local total = now and cjson.decode(now) or {0, 0, 0}
    value = string.format('[%d,%d,%d,%d]', total[1] + before[1], total[2] + before[2],
      math.max(total[3], before[3]), tonumber(ARGV[4]))
    redis.call('HSET', KEYS[4], name, value)
    put(news, field, value)
  else
    local target = targets[kind]
    if redis.call('HSETNX', target[1], string.sub(field, target[2]), value) == 1
      and kind ~= 'm' then
      put(news, field, value)
    end
  end
end
redis.call('HSET', KEYS[1], 'restored', ARGV[3])
tell(KEYS[1], KEYS[2], epoch, news, ARGV[2])
return epoch
"""
)

# KEYS bodies times; ARGV limit, then for each: field, time_ms, value. Keeps the newest `limit`.
KEEP = """
for i = 2, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i])
end
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[1])
if over > 0 then
  local old = redis.call('ZRANGE', KEYS[2], 0, math.min(over, 1000) - 1)
  redis.call('HDEL', KEYS[1], unpack(old))
  redis.call('ZREM', KEYS[2], unpack(old))
end
return 1
"""

# KEYS bodies times; ARGV field, the value it must still have
DROP = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 1
"""

# KEYS bodies times; ARGV a time in ms: what is older goes, 1000 at once. Returns how many went.
FORGET = """
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[1], 'LIMIT', 0, 1000)
if #old > 0 then
  redis.call('HDEL', KEYS[1], unpack(old))
  redis.call('ZREM', KEYS[2], unpack(old))
end
return #old
"""
