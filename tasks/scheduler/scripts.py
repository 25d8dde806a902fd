"""The scripts by which Redis reads and dispatches what is due, each in one step."""

from tasks.broker.projection import VERSION_LENGTH

# KEYS: the sorted set, the texts. ARGV: since and until which score, how many to leave out, how
# many at most. Returns the members with their scores, in one list, and their texts in another.
READ = """
local due = redis.call(
  'ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', ARGV[3], ARGV[4])
if #due == 0 then return {due, {}} end
local members = {}
for i = 1, #due, 2 do members[#members + 1] = due[i] end
return {due, redis.call('HMGET', KEYS[2], unpack(members))}
"""
# KEYS: the sorted set, the texts. ARGV: now, and as JSON a list of steps, each a list: job id,
# the score and the version that the caller has seen, queue, next due in ms (-1: none), and the
# job ids of its occurrences. A schedule that has changed meanwhile, or that another scheduler was
# quicker with, is left alone. One whose template or queue can't be used isn't moved, and the
# others go on. Returns three texts, each of ids parted by spaces: the jobs put on their queues,
# the schedules without a template, those without a queue.
DISPATCH = """
local now, steps = ARGV[1], cjson.decode(ARGV[2])
local ids = {}
for n, step in ipairs(steps) do ids[n] = step[1] end
local scores = redis.call('ZMSCORE', KEYS[1], unpack(ids))
local texts = redis.call('HMGET', KEYS[2], unpack(ids))
local queues, moved, broken, stuck, pushed = {}, {}, {}, {}, {}

local function copy(step, queue)
  local template = 'rq:job:' .. step[1]
  for k = 6, #step do
    local key = 'rq:job:' .. step[k]
    if redis.call('COPY', template, key) == 1 then
      local done = redis.pcall(
        'HSET', key, 'status', 'queued', 'created_at', now, 'enqueued_at', now)
      if type(done) == 'table' then
        redis.call('DEL', key)
        return false
      end
      queue[#queue + 1] = step[k]
    elseif redis.call('EXISTS', template) == 0 then
      return false
    end
  end
  return true
end

for n, step in ipairs(steps) do
  if scores[n] and tonumber(scores[n]) == step[2]
     and texts[n] and string.sub(texts[n], 1, VERSION_LENGTH) == step[3] then
    local queue = queues[step[4]] or {}
    queues[step[4]] = queue
    if copy(step, queue) then moved[#moved + 1] = step else broken[#broken + 1] = step[1] end
  end
end

local unusable = {}
for name, queue in pairs(queues) do
  for from = 1, #queue, 1000 do
    local till = math.min(from + 999, #queue)
    local done = redis.pcall('RPUSH', 'rq:queue:' .. name, unpack(queue, from, till))
    if type(done) == 'table' then
      unusable[name] = true
      for k = from, till do redis.call('DEL', 'rq:job:' .. queue[k]) end
    else
      pushed[#pushed + 1] = table.concat(queue, ' ', from, till)
    end
  end
  if #queue > 0 and not unusable[name] then redis.call('SADD', 'rq:queues', 'rq:queue:' .. name) end
end

local forward, gone = {}, {}
for _, step in ipairs(moved) do
  if unusable[step[4]] then
    stuck[#stuck + 1] = step[1]
  elseif step[5] < 0 then
    gone[#gone + 1] = step[1]
  else
    forward[#forward + 1] = string.format('%.3f', step[5] / 1000)
    forward[#forward + 1] = step[1]
  end
end
if #forward > 0 then redis.call('ZADD', KEYS[1], unpack(forward)) end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return {table.concat(pushed, ' '), table.concat(broken, ' '), table.concat(stuck, ' ')}
""".replace("VERSION_LENGTH", str(VERSION_LENGTH))
# KEYS: the sorted set of RQ's own scheduled jobs of a queue. ARGV: now, the queue's name, its
# ids that are due. Each goes on the queue in the step that removes it, so once only.
MOVE_SCHEDULED = """
local moved = 0
for i = 3, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    local key = 'rq:job:' .. ARGV[i]
    if redis.call('EXISTS', key) == 1 then
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', ARGV[1])
      redis.call('SADD', 'rq:queues', 'rq:queue:' .. ARGV[2])
      redis.call('RPUSH', 'rq:queue:' .. ARGV[2], ARGV[i])
      moved = moved + 1
    end
  end
end
return moved
"""
