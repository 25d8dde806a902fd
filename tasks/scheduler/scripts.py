"""The scripts by which Redis reads and dispatches what is due, each in one step."""

from tasks.broker.keys import with_key_names
from tasks.broker.projection import VERSION_LENGTH

# KEYS: the sorted set, the dispatch records. ARGV: the lowest and the highest score, offset, limit.
# Returns the members with their scores, in one list, and their dispatch records in another.
READ = """
local due = redis.call(
  'ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', ARGV[3], ARGV[4])
if #due == 0 then return {due, {}} end
local members = {}
for i = 1, #due, 2 do members[#members + 1] = due[i] end
return {due, redis.call('HMGET', KEYS[2], unpack(members))}
"""
# KEYS: the sorted set, the dispatch records. ARGV: now, and as JSON a list of steps, each a list:
# job id, the score and the version that the caller has seen, queue, next due in ms (-1: none), and
# the job ids of its runs. A schedule that has changed meanwhile, or where another scheduler got
# there first, is left alone. One whose template or queue can't be used isn't moved, and stops no
# other. Returns three texts, each of ids separated by spaces: the jobs put on their queues, the
# schedules without a template, those without a usable queue.
DISPATCH = with_key_names("""
local now, steps = ARGV[1], cjson.decode(ARGV[2])
local ids = {}
for n, step in ipairs(steps) do ids[n] = step[1] end
local scores = redis.call('ZMSCORE', KEYS[1], unpack(ids))
local records = redis.call('HMGET', KEYS[2], unpack(ids))
local queues, moved, lost, stuck, pushed = {}, {}, {}, {}, {}

local function copy(step, queue)
  local template = JOB .. step[1]
  for k = 6, #step do
    local key = JOB .. step[k]
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
     and records[n] and string.sub(records[n], 1, VERSION_LENGTH) == step[3] then
    local queue = queues[step[4]] or {}
    queues[step[4]] = queue
    if copy(step, queue) then moved[#moved + 1] = step else lost[#lost + 1] = step[1] end
  end
end

local unusable = {}
for name, queue in pairs(queues) do
  for from = 1, #queue, 1000 do
    local last = math.min(from + 999, #queue)
    local done = redis.pcall('RPUSH', QUEUE .. name, unpack(queue, from, last))
    if type(done) == 'table' then
      unusable[name] = true
      for k = from, last do redis.call('DEL', JOB .. queue[k]) end
    else
      pushed[#pushed + 1] = table.concat(queue, ' ', from, last)
    end
  end
  if #queue > 0 and not unusable[name] then redis.call('SADD', QUEUES, QUEUE .. name) end
end

local forward, exhausted = {}, {}
for _, step in ipairs(moved) do
  if unusable[step[4]] then
    stuck[#stuck + 1] = step[1]
  elseif step[5] < 0 then
    exhausted[#exhausted + 1] = step[1]
  else
    forward[#forward + 1] = string.format('%.3f', step[5] / 1000)
    forward[#forward + 1] = step[1]
  end
end
if #forward > 0 then redis.call('ZADD', KEYS[1], unpack(forward)) end
if #exhausted > 0 then redis.call('ZREM', KEYS[1], unpack(exhausted)) end
return {table.concat(pushed, ' '), table.concat(lost, ' '), table.concat(stuck, ' ')}
""").replace("VERSION_LENGTH", str(VERSION_LENGTH))
# KEYS: the sorted set of RQ's own scheduled jobs of a queue. ARGV: now, the queue's name, the ids
# that are due. Each is put on the queue in the step that removes it, so only once.
MOVE_SCHEDULED = with_key_names("""
local moved = 0
for i = 3, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    local key = JOB .. ARGV[i]
    if redis.call('EXISTS', key) == 1 then
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', ARGV[1])
      redis.call('SADD', QUEUES, QUEUE .. ARGV[2])
      redis.call('RPUSH', QUEUE .. ARGV[2], ARGV[i])
      moved = moved + 1
    end
  end
end
return moved
""")
