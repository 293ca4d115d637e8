-- The ledger in Redis or Valkey. Each operation is one call of this script, so it happens whole or not at all.
--
-- KEYS[1] is what every key begins with; ARGV[1] names the operation, ARGV[2] holds its arguments as JSON.
-- Columns are text, as they are stored: numbers are never written by Lua, which would round them.
--
-- row:ID                        a hash, the columns of a generation; None is left out
-- rows, of:CALLER               ids by the time they began
-- STATE:CALLER:FINGERPRINT      ids of identical requests; STATE is abandoned, unknown, or open:
--                               pending, or over and on its way to whoever waits for it
-- work:PROCESS                  ids of rows that the end of the process would change
-- leases, watched               until when processes count as alive; those whose connection tells it sooner
-- day:CALLER:EMULATED:DAY       counted images, `all` and `settled`
-- times:CALLER:MODEL:MOST:EMULATED   seconds that the last requests took
-- link:CALLER:HASH              the id of the row with a picture at a link

local given = cjson.decode(ARGV[2])

local function key(...)
  return KEYS[1] .. table.concat({...}, ':')
end

local function row(id)
  local flat = redis.call('HGETALL', key('row', id))
  if #flat == 0 then return nil end
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function flat(found)
  local list = {}
  for name, value in pairs(found) do
    list[#list + 1] = name
    list[#list + 1] = value
  end
  return list
end

local function day_key(found)
  return key('day', found.caller, found.emulated, math.floor(tonumber(found.created) / 86400))
end

local function count(found, sign)
  -- As text: Redis takes minus nought, Lua's -1 * 0, for no number at all.
  local counter, images = day_key(found), string.format('%d', sign * tonumber(found.counted))
  redis.call('HINCRBY', counter, 'all', images)
  if found.status ~= 'pending' then redis.call('HINCRBY', counter, 'settled', images) end
  redis.call('EXPIRE', counter, 3 * 86400)
end

-- Whether the end of the process would change the row.
local function matters(found, process)
  local going = found.status == 'pending'
  local awaited = found.waiter == process and found.abandoned == '0' and found.delivered == '0'
  if awaited and found.status ~= 'failed' then return true end
  return found.owner == process and (going or not found.pictures)
end

local function file_under(found, id, state, belongs)
  local identical = key(state, found.caller, found.fingerprint)
  if belongs then
    redis.call('ZADD', identical, found.created, id)
  else
    redis.call('ZREM', identical, id)
  end
end

local function keep_link(found, id)
  for _, url in ipairs(cjson.decode(found.urls)) do
    local link = key('link', found.caller, redis.sha1hex(url))
    local other = row(redis.call('GET', link) or '')
    if not other or tonumber(other.created) <= tonumber(found.created) then redis.call('SET', link, id) end
  end
end

local function keep_time(found)
  local times = key('times', found.caller, found.model, found.most, found.emulated)
  redis.call('LPUSH', times, tonumber(found.ended) - tonumber(found.created))
  redis.call('LTRIM', times, 0, given.times - 1)
  redis.call('EXPIRE', times, 30 * 86400)
end

-- Every change goes through here, so that counters and indexes are true.
local function alter(id, changes)
  local before = row(id)
  redis.call('HSET', key('row', id), unpack(flat(changes)))
  local after = row(id)
  if before then
    count(before, -1)
    for _, process in ipairs({before.owner, before.waiter}) do
      redis.call('SREM', key('work', process), id)
    end
  else
    redis.call('ZADD', key('rows'), after.created, id)
    redis.call('ZADD', key('of', after.caller), after.created, id)
  end
  count(after, 1)
  for _, process in ipairs({after.owner, after.waiter}) do
    if matters(after, process) then redis.call('SADD', key('work', process), id) end
  end
  file_under(after, id, 'abandoned', after.abandoned == '1' and after.status ~= 'failed')
  file_under(after, id, 'unknown', after.status == 'unknown')
  local undelivered = after.status ~= 'failed' and after.delivered == '0' and after.abandoned == '0'
  file_under(after, id, 'open', after.status == 'pending' or undelivered)
  if after.status == 'succeeded' and (not before or before.status ~= 'succeeded') then
    keep_link(after, id)
    if after.ended then keep_time(after) end
    -- Whoever has got a picture since has no doubts any more.
    redis.call('ZREMRANGEBYSCORE', key('unknown', after.caller, after.fingerprint), '-inf', after.created)
  end
end

local function bury(process)
  for _, id in ipairs(redis.call('SMEMBERS', key('work', process))) do
    local found, changes = row(id), {}
    if found.waiter == process and found.delivered == '0' and found.status ~= 'failed' then
      changes.abandoned = '1'
    end
    if found.owner == process and not found.pictures then changes.pictures = '{}' end
    if found.owner == process and found.status == 'pending' then
      changes.status = 'unknown'
      changes.ended = given.now
    end
    if next(changes) then alter(id, changes) end
  end
  redis.call('DEL', key('work', process))
  redis.call('ZREM', key('leases'), process)
  redis.call('SREM', key('watched'), process)
end

local function connected(process)
  return redis.call('PUBSUB', 'NUMSUB', key('process', process))[2] > 0
end

-- What the end of processes means for their rows. Returns those with work whose connection is gone, or which
-- have not spoken for a while: a process that lives comes back and renews its lease before `grace` is over.
local function sweep()
  local time, gone = tonumber(given.time), {}
  for _, process in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', given.time)) do
    bury(process)
  end
  for _, process in ipairs(redis.call('SMEMBERS', key('watched'))) do
    local lease, here = redis.call('ZSCORE', key('leases'), process), connected(process)
    if lease and (not here or tonumber(lease) < time + given.spoken) then
      gone[process] = true
      if tonumber(lease) > time + given.grace then
        redis.call('ZADD', key('leases'), time + given.grace, process)
      end
    elseif not lease and not here then
      redis.call('SREM', key('watched'), process)
    end
  end
  return gone
end

local function full(wanted, terms)
  local most, today, window = tonumber(wanted.most), 0, {}
  today = tonumber(redis.call('HGET', day_key(wanted), 'all') or '0')
  if terms.per_day and today + most > terms.per_day then return {'full', today, window} end
  if not terms.per_minute then return nil end
  local used = 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('of', wanted.caller), '(' .. given.minute, '+inf')) do
    local found = redis.call('HMGET', key('row', id), 'created', 'counted', 'emulated')
    if found[3] == wanted.emulated then
      used = used + tonumber(found[2])
      window[#window + 1] = found[1]
      window[#window + 1] = found[2]
    end
  end
  if used + most > terms.per_minute then return {'full', today, window} end
  return nil
end

-- The abandoned row that a call gets: one that has or will have pictures, or else one in doubt.
local function to_claim(abandoned, wanted)
  local doubted
  for _, id in ipairs(abandoned) do
    local found = row(id)
    local reachable = found.emulated == '0' or found.owner == wanted.owner
    local works = reachable and tonumber(found.works_until) > tonumber(wanted.created)
    if found.status == 'pending' or (found.status == 'succeeded' and works) then return id end
    if found.status == 'unknown' and given.doubts_since
      and tonumber(found.created) > tonumber(given.doubts_since) then
      doubted = doubted or id
    end
  end
  return doubted
end

local run = {}

function run.begin()
  local wanted, id = given.wanted, given.wanted.id
  redis.call('ZADD', key('leases'), given.lease, wanted.owner)
  local gone = sweep()
  local function identical(state, most)
    return redis.call('ZREVRANGE', key(state, wanted.caller, wanted.fingerprint), 0, most - 1)
  end
  local times = redis.call('LRANGE', key('times', wanted.caller, wanted.model, wanted.most, wanted.emulated), 0, -1)
  local other = to_claim(identical('abandoned', 0), wanted)
  if other then
    alter(other, {abandoned = '0', delivered = '0', waiter = wanted.waiter})
    return {'claimed', times, flat(row(other))}
  end
  if next(gone) then
    for _, other in ipairs(identical('open', 0)) do
      local found = row(other)
      if gone[found.owner] or gone[found.waiter] then return {'held'} end
    end
  end
  if not given.terms then return {'none'} end
  local refusal = full(wanted, given.terms)
  if refusal then return refusal end
  local doubted = {}
  for _, other in ipairs(identical('unknown', given.doubts)) do doubted[#doubted + 1] = flat(row(other)) end
  alter(id, wanted)
  return {'begun', times, doubted}
end

function run.update()
  for _, id in ipairs(given.ids) do
    if redis.call('EXISTS', key('row', id)) == 1 then alter(id, given.changes) end
  end
end

function run.put()
  alter(given.row.id, given.row)
end

function run.renew()
  redis.call('ZADD', key('leases'), given.lease, given.process)
end

-- The process is connected, and again if it was not for a while.
function run.watch()
  redis.call('SADD', key('watched'), given.process)
  redis.call('ZADD', key('leases'), 'XX', given.lease, given.process)
end

function run.get()
  sweep()
  local found = row(given.id)
  return found and found.caller == given.caller and {flat(found)} or {}
end

function run.recent()
  sweep()
  local rows, of, newest = {}, key('of', given.caller), '+inf'
  if given.before then
    newest = '(' .. given.created
    -- Those of the same moment are ordered by their names.
    for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', of, given.created, given.created)) do
      if id < given.before and #rows < given.most then rows[#rows + 1] = flat(row(id)) end
    end
  end
  for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', of, newest, '-inf', 'LIMIT', 0, given.most - #rows)) do
    rows[#rows + 1] = flat(row(id))
  end
  return rows
end

function run.with_link()
  local found = row(redis.call('GET', key('link', given.caller, redis.sha1hex(given.url))) or '')
  return found and {flat(found)} or {}
end

function run.images_since()
  return redis.call('HGET', day_key({caller = given.caller, emulated = given.emulated, created = given.since}), 'settled')
end

-- Some at a time: nothing else runs meanwhile.
function run.prune()
  local old = redis.call('ZRANGEBYSCORE', key('rows'), '-inf', '(' .. given.before, 'LIMIT', 0, given.most)
  for _, id in ipairs(old) do
    local found = row(id)
    for _, url in ipairs(cjson.decode(found.urls)) do
      local link = key('link', found.caller, redis.sha1hex(url))
      if redis.call('GET', link) == id then redis.call('DEL', link) end
    end
    for _, state in ipairs({'abandoned', 'unknown', 'open'}) do file_under(found, id, state, false) end
    for _, process in ipairs({found.owner, found.waiter}) do redis.call('SREM', key('work', process), id) end
    redis.call('ZREM', key('of', found.caller), id)
    redis.call('ZREM', key('rows'), id)
    redis.call('DEL', key('row', id))
  end
  return #old
end

return run[ARGV[1]]()
