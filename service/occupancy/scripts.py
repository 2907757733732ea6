"""The Lua that runs inside Redis: each script touches one shard, and running it twice is harmless.

Orders are compared as zero-padded digits, since Lua numbers lose them beyond 15. All state is
absolute and guarded by its order, so a retried call, whose first reply was lost, changes nothing.

    reports   field -> order (boot 20 digits, seq 20 digits), kind (1 letter), JSON
    boots     field of a counter -> JSON [[boot, seq, entered, left], ...] of its earlier boots
    marks     device -> boot (20), number (20), receipt in ms (13); numbers count from 1 (seq + 1).
              Of a device with one voice its report tells the same, and the newer one counts
    gaps      device -> JSON [[boot, above, below, missed_ms, noticed_ms, asked_ms], ...]
    stream    id = version of the shard, so that a missing entry is seen as a jump; fields and
              values, a line each
"""

# Shared by the scripts below: one entry of the change stream per call, with the next version.
STREAM = r"""
local function opened(meta, fresh)
  local epoch = redis.call('HGET', meta, 'epoch')
  if not epoch then
    redis.call('HSET', meta, 'epoch', fresh, 'version', '0')
    return fresh
  end
  return epoch
end

local function tell(meta, stream, epoch, news, length)
  if #news == 0 then
    return redis.call('HGET', meta, 'version')
  end
  local version = redis.call('HINCRBY', meta, 'version', 1)
  redis.call('XADD', stream, 'MAXLEN', '~', length, string.format('%d-0', version),
    'e', epoch, 'n', table.concat(news, '\n'))
  return string.format('%d', version)
end

local function put(news, field, value)
  news[#news + 1] = field
  news[#news + 1] = value
end

local function noticed(ranges)
  local shown = {}
  for _, range in ipairs(ranges) do
    if range[5] > 0 then
      shown[#shown + 1] = {range[1], range[2], range[3], range[5]}
    end
  end
  if #shown == 0 then
    return ''
  end
  return cjson.encode(shown)
end
"""

# KEYS meta stream reports boots marks gaps passed passed_at lanes
# ARGV now_ms fresh_epoch stream_length, how many of each: solos reports devices passages, then
#   solos     their fields, their values, the order before each ('' where seq is 0): the one voice
#             of a device of which no message may be missing
#   reports   their fields, their values
#   devices   their names, the field of their one voice or '', their marks (boot, above, upto: 20
#             digits each, and g: gapless, j: gapless with a journal, n: neither)
#   passages  each its member, lane, way, passed_ms
# returns epoch, version, reports kept, then for each journal: device, boot, upto, first gap or ''
WRITE = (
    STREAM
    + r"""
local sub, byte = string.sub, string.byte
local meta, stream, reports, boots, marks = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local gaps, passed, passed_at, lanes = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local now, length = ARGV[1], ARGV[3]
local s, n, m, p = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local CHUNK, BOOTS, RANGES, COUNTER, BAY = 1000, 8, 256, 99, 98
local AGAIN_MS, AGAIN_FRAMES, BORROWED = 60000, 16, 16
local FIRST = '00000000000000000001'
local epoch = opened(meta, ARGV[2])
local news, kept, replies = {}, 0, {}

local function successor(digits)
  local last = #digits
  while byte(digits, last) == 57 do
    last = last - 1
  end
  return sub(digits, 1, last - 1) .. string.char(byte(digits, last) + 1)
    .. string.rep('0', #digits - last)
end

-- Ranges of a device are read once a call, and written once where they changed.
local ranges_read, shown_before, changed = {}, {}, {}

local function ranges_of(device)
  local ranges = ranges_read[device]
  if not ranges then
    local text = redis.call('HGET', gaps, device)
    ranges = text and cjson.decode(text) or {}
    ranges_read[device], shown_before[device] = ranges, noticed(ranges)
  end
  return ranges
end

local function miss(device, boot, above, below)
  local ranges = ranges_of(device)
  changed[device] = true
  ranges[#ranges + 1] = {boot, above, below, tonumber(now), 0, 0}
  if #ranges > RANGES then
    local first, second = ranges[1], ranges[2]
    if first[1] == second[1] then
      second[2] = first[2] < second[2] and first[2] or second[2]
      second[3] = first[3] > second[3] and first[3] or second[3]
      second[4], second[5] = first[4], math.max(first[5], second[5])
    end
    table.remove(ranges, 1)
  end
end

local function fill(device, boot, above, upto)
  local ranges = ranges_of(device)
  if #ranges == 0 then
    return
  end
  local left = {}
  local first, after = successor(above), successor(upto)
  for _, range in ipairs(ranges) do
    local low, high = range[2], range[3]
    if range[1] ~= boot or upto <= low or first >= high then
      left[#left + 1] = range
    else
      changed[device] = true
      if low < above then
        left[#left + 1] = {boot, low, first, range[4], range[5], range[6]}
      end
      if after < high then
        left[#left + 1] = {boot, upto, high, range[4], range[5], range[6]}
      end
    end
  end
  ranges_read[device] = left
end


-- What is known of a device's messages, in numbers: its mark, or its one voice where that is newer
-- (a replay of what the broker retained tells nothing of what came between).
local states = {}
local function note(device, mark, old, voiced)
  old = states[device] or old
  local boot, above, last = sub(mark, 1, 20), sub(mark, 21, 40), sub(mark, 41, 60)
  local way, now_boot, now_last = byte(mark, 61), boot, last
  if voiced and cjson.decode(sub(voiced, 42))[3] % 8 < 4 then
    local spoken = sub(voiced, 1, 20) .. successor(sub(voiced, 21, 40))
    if not old or sub(old, 1, 40) < spoken then
      old = spoken
    end
  end
  if old then
    local old_boot, old_last = sub(old, 1, 20), sub(old, 21, 40)
    if way == 110 then
      if old_boot .. old_last > boot .. last then
        now_boot, now_last = old_boot, old_last
      end
    elseif boot > old_boot then
      if above > FIRST then
        miss(device, boot, FIRST, successor(above)) -- a first seq may be 0 or 1
      end
    elseif boot < old_boot then
      fill(device, boot, above, last)
      now_boot, now_last = old_boot, old_last
    elseif above > old_last then
      miss(device, boot, old_last, successor(above))
    elseif above < old_last then
      fill(device, boot, above, last)
      if last < old_last then
        now_last = old_last
      end
    end
  end
  states[device] = now_boot .. now_last .. now
  if way == 106 then
    replies[device] = true
  end
end

-- Before any report is written, since voices are looked up as they were.
local at = 7 + 3 * s + 2 * n
for from = 1, m, CHUNK do
  local upto = math.min(from + CHUNK - 1, m)
  local olds = redis.call('HMGET', marks, unpack(ARGV, at + from, at + upto))
  for i = from, upto do
    local voice = ARGV[at + m + i]
    local voiced = voice ~= '' and redis.call('HGET', reports, voice)
    note(ARGV[at + i], ARGV[at + 2 * m + i], olds[i - from + 1], voiced)
  end
end

-- A counter that began again: what its earlier boots counted is kept beside the newest.
local function keep(field, value)
  local boot, seq, said = sub(value, 1, 20), sub(value, 21, 40), cjson.decode(sub(value, 42))
  local past = redis.call('HGET', boots, field)
  past = past and cjson.decode(past) or {}
  local place = #past + 1
  for at, one in ipairs(past) do
    if one[1] == boot then
      if one[2] >= seq then
        return
      end
      table.remove(past, at)
      place = at
      break
    elseif one[1] > boot then
      if at == 1 and #past >= BOOTS then
        return
      end
      place = at
      break
    end
  end
  table.insert(past, place, {boot, seq, said[7], said[8]})
  if #past > BOOTS then
    past[2][3], past[2][4] = past[1][3] + past[2][3], past[1][4] + past[2][4]
    past[2][2] = '99999999999999999999'
    table.remove(past, 1)
  end
  local text = cjson.encode(past)
  redis.call('HSET', boots, field, text)
  put(news, 'p' .. field, text)
end

-- A network server may deliver a frame again, with another time of receipt: within a minute a frame
-- counter that goes back a little is no news. One that begins anew begins with 0.
local function again(new, old)
  local frame, before = sub(new, 21, 40), sub(old, 21, 40)
  return frame <= before and tonumber(frame) > 0
    and tonumber(before) - tonumber(frame) < AGAIN_FRAMES
    and tonumber(sub(new, 1, 20)) - tonumber(sub(old, 1, 20)) < AGAIN_MS
    and cjson.decode(sub(new, 42))[3] % (2 * BORROWED) >= BORROWED
end

-- Whether the report is news; of a counter, what an earlier boot counted is kept in any case.
local function is_news(field, new, old)
  local newer = not old or sub(old, 1, 40) < sub(new, 1, 40)
  if newer and old and byte(new, 41) == BAY and again(new, old) then
    return false
  end
  local stays, goes = old, new
  if newer then
    stays, goes = new, old
  end
  if goes and byte(goes, 41) == COUNTER and sub(stays, 1, 20) ~= sub(goes, 1, 20) then
    keep(field, goes)
  end
  return newer
end

local function write_all(count, at, accept)
  for from = 1, count, CHUNK do
    local upto = math.min(from + CHUNK - 1, count)
    local olds = redis.call('HMGET', reports, unpack(ARGV, at + from, at + upto))
    local puts = {}
    for i = from, upto do
      local field, new = ARGV[at + i], ARGV[at + count + i]
      if accept(field, new, olds[i - from + 1], i) then
        put(puts, field, new)
        put(news, field, new)
        kept = kept + 1
      end
    end
    if #puts > 0 then
      redis.call('HSET', reports, unpack(puts))
    end
  end
end

write_all(n, 7 + 3 * s, is_news)
write_all(s, 7, function(field, new, old, i)
  local before = ARGV[7 + 2 * s + i]
  if old and sub(old, 1, 40) == before then
    return true -- the usual case: the device's next message
  end
  local device = string.match(field, '[^/]+$')
  local above = before == '' and '00000000000000000000' or successor(sub(before, 21, 40))
  local mark = sub(new, 1, 20) .. above .. successor(sub(new, 21, 40)) .. 'g'
  note(device, mark, redis.call('HGET', marks, device), old)
  return is_news(field, new, old)
end)

local puts = {}
for device, state in pairs(states) do
  put(puts, device, state)
  if #puts >= 2 * CHUNK then
    redis.call('HSET', marks, unpack(puts))
    puts = {}
  end
end
if #puts > 0 then
  redis.call('HSET', marks, unpack(puts))
end

for device, _ in pairs(changed) do
  local ranges = ranges_read[device]
  if #ranges == 0 then
    redis.call('HDEL', gaps, device)
  else
    redis.call('HSET', gaps, device, cjson.encode(ranges))
  end
  local shown = noticed(ranges)
  if shown ~= shown_before[device] then
    put(news, 'g/' .. device, shown)
  end
end

-- A passage counts once, however often it is told, unless its vehicle turned back.
local totals = {}
local base = 7 + 3 * s + 2 * n + 3 * m
for i = 0, p - 1 do
  local member, lane = ARGV[base + 4 * i + 1], ARGV[base + 4 * i + 2]
  local way, at = ARGV[base + 4 * i + 3], ARGV[base + 4 * i + 4]
  local seen, counts, state = redis.call('HGET', passed, member), 0, nil
  if way == 'back' then
    if not seen then
      state = 'none'
    elseif seen == 'in' or seen == 'out' then
      state, way, counts = 'none', seen, -1
    end
  elseif not seen then
    state, counts = way, 1
  end
  if state then
    redis.call('HSET', passed, member, state)
    redis.call('ZADD', passed_at, now, member)
  end
  if counts ~= 0 then
    local total = totals[lane]
    if not total then
      local text = redis.call('HGET', lanes, lane)
      total = text and cjson.decode(text) or {0, 0, 0}
      totals[lane] = total
    end
    local place = way == 'in' and 1 or 2
    total[place] = total[place] + counts
    total[3] = math.max(total[3], tonumber(at))
  end
end
for lane, total in pairs(totals) do
  local text = string.format('[%d,%d,%d,%d]', total[1], total[2], total[3], total[4] or 0)
  redis.call('HSET', lanes, lane, text)
  put(news, 'l/' .. lane, text)
end

local version = tell(meta, stream, epoch, news, length)
local out = {epoch, version, kept}
for device, _ in pairs(replies) do
  local state, first = states[device], ''
  for _, range in ipairs(ranges_of(device)) do
    if range[1] == sub(state, 1, 20) and (first == '' or range[2] < first) then
      first = range[2]
    end
  end
  put(out, device, sub(state, 1, 20))
  put(out, sub(state, 21, 40), first)
end
return out
"""
)
