#!lua
-- One check of the sliding window: asks, decides and charges in one step, so that any number of
-- nodes share one limit. The first line makes it a writing script from its start: a read-only
-- Redis refuses it at once, instead of only when something happens to be charged.
--
-- KEYS[1]  the key's window: a hash of "<start of a bucket, ms>:<who charged>" -> units
-- KEYS[2]  all limits that were set: a hash of key -> {"limit":n,"window_ms":n}
-- ARGV     key, cost, who charges, default limit, default window in ms, buckets a window
--
-- Returns  {verdict, used, limit, window_ms, reset_ms, start of the charged bucket, width}
--          verdict: 1 allowed, 0 denied, 2 the cost is larger than the limit
--
-- A window is cut into buckets. A bucket counts until all of it is older than the window, so a unit
-- may be held for one bucket too long, never too short: no window ever holds more than the limit.

local cost = tonumber(ARGV[2])
local limit, window = tonumber(ARGV[4]), tonumber(ARGV[5])
local buckets = tonumber(ARGV[6])

local set = redis.call('HGET', KEYS[2], ARGV[1])
if set then
  local ok, value = pcall(cjson.decode, set)
  if not ok or type(value) ~= 'table' or type(value.limit) ~= 'number'
      or type(value.window_ms) ~= 'number' or value.limit < 1 or value.window_ms < buckets then
    return redis.error_reply('BADLIMIT the stored limit of ' .. ARGV[1] .. ' cannot be read: '
      .. string.sub(set, 1, 100))
  end
  limit, window = value.limit, value.window_ms
end
if cost > limit then
  return { 2, 0, limit, window, 0, 0, 0 }
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local width = math.ceil(window / buckets)

local used, live, gone = 0, {}, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local start = tonumber(string.match(all[i], '^%d+'))
  local units = tonumber(all[i + 1])
  if not start or not units or start + width <= now - window then
    gone[#gone + 1] = all[i]
  else
    used = used + units
    live[#live + 1] = { start, units }
  end
end
-- unpack has a limit of its own, so in portions
for i = 1, #gone, 1000 do
  redis.call('HDEL', KEYS[1], unpack(gone, i, math.min(i + 999, #gone)))
end

local bucket = now - now % width
local verdict = 0
local need = used + cost - limit
if need <= 0 then
  verdict, need = 1, 1
  used = used + cost
  live[#live + 1] = { bucket, cost }
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', bucket) .. ':' .. ARGV[3], cost)
  redis.call('PEXPIRE', KEYS[1], window + 2 * width)
end

-- When enough has left the window: for a denied check the units that are missing, else the first.
table.sort(live, function(a, b) return a[1] < b[1] end)
local reset, freed = 0, 0
for _, entry in ipairs(live) do
  freed = freed + entry[2]
  if freed >= need then
    reset = entry[1] + width + window - now
    break
  end
end
return { verdict, used, limit, window, reset, bucket, width }
