-- The rules of gateway/stores/sessions.py, for any number of calls in one atomic step.
--
-- KEYS[i] is the hash of call i's phone number, the only key it touches (one slot on a cluster):
--   k name of the session   v version   r record     c text length of the last finished turn
--   w worker   u lease until, ms   n its text length     t a turn was heard and has no record
--   f worker that stored the record
--   o names of those it ended, the last one first, a line each
--   p that one's record, until the first finish
-- ARGV holds seven values per call: operation, name, worker, and four of the operation's own.
-- Time is the server's: the one clock that all gateways share.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local LINGER = 60000 -- a fresh session outlives its first lease by this, for a take-over

local ENDED_MOST = 8 -- as in sessions.py
local MISSING = {'missing', 0, false, false, false}

local function held(worker, lease_until)
  return worker and now < tonumber(lease_until)
end

local function is_ended(name, ended)
  return ended and string.find('\n' .. ended .. '\n', '\n' .. name .. '\n', 1, true)
end

local function with_ended(name, ended)
  local names, count = name, 1
  for older in string.gmatch(ended or '', '[^\n]+') do
    if count == ENDED_MOST then break end
    names, count = names .. '\n' .. older, count + 1
  end
  return names
end

local calls = {}

function calls.claim(key, name, worker, length, lease, create)
  local k, v, r, c, w, u, n, t, o, p =
    unpack(redis.call('HMGET', key, 'k', 'v', 'r', 'c', 'w', 'u', 'n', 't', 'o', 'p'))
  local lease_until = string.format('%.0f', now + lease) -- '%d' is 32 bits on some platforms
  length, n = tonumber(length), tonumber(n)
  if k ~= name then
    if create == '0' or is_ended(name, o) then return MISSING end
    p = r or p
    if k and k ~= '' then o = with_ended(k, o) end
    redis.call('HDEL', key, 'r', 'c', 'f', 't', 'p', 'o')
    v, r, t = '0', false, false
    redis.call('HSET', key, 'k', name, 'v', '0')
    if o then redis.call('HSET', key, 'o', o) end
    if p then redis.call('HSET', key, 'p', p) end
  elseif length <= tonumber(c or -1) or (n and length < n) then
    if v == '0' then return MISSING end
    return {'busy', v - 1, false, false, false}
  elseif n and length > n then
    t = '1'
    redis.call('HSET', key, 't', t)
  elseif held(w, u) then
    return {'busy', tonumber(v), false, false, false}
  end
  redis.call('HSET', key, 'w', worker, 'u', lease_until, 'n', length)
  if redis.call('PTTL', key) < lease + LINGER then redis.call('PEXPIRE', key, lease + LINGER) end
  if v == '0' then return {'fresh', 0, false, p, t} end
  return {'claimed', tonumber(v), r, false, t}
end

function calls.finish(key, name, worker, record, ttl)
  local k, v, w, n = unpack(redis.call('HMGET', key, 'k', 'v', 'w', 'n'))
  if k ~= name or w ~= worker then return 0 end
  redis.call('HSET', key, 'v', v + 1, 'r', record, 'c', n, 'f', worker)
  redis.call('HDEL', key, 'w', 'u', 'n', 't', 'p')
  redis.call('PEXPIRE', key, ttl)
  return 1
end

function calls.advance(key, name, worker, record, ttl, length, after)
  local k, v, c, w, f, t = unpack(redis.call('HMGET', key, 'k', 'v', 'c', 'w', 'f', 't'))
  if k ~= name or w or t or f ~= after or tonumber(length) <= tonumber(c) then return 0 end
  redis.call('HSET', key, 'v', v + 1, 'r', record, 'c', length, 'f', worker)
  redis.call('PEXPIRE', key, ttl)
  return 1
end

function calls.release(key, name, worker)
  local k, v, w, p, o = unpack(redis.call('HMGET', key, 'k', 'v', 'w', 'p', 'o'))
  if k ~= name or w ~= worker then return 0 end
  if v == '0' and not p and not o then
    redis.call('DEL', key)
    return 1
  end
  redis.call('HDEL', key, 'w', 'u', 'n')
  if v == '0' then redis.call('HSET', key, 'k', '') end
  if v == '0' and p then redis.call('HSET', key, 'r', p) end
  return 1
end

function calls.look(key, name)
  local k, v, r, w, u = unpack(redis.call('HMGET', key, 'k', 'v', 'r', 'w', 'u'))
  if k ~= name then return {0, false, 0} end
  return {tonumber(v), r, held(w, u) and 1 or 0}
end

local answers = {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 7
  answers[i] = calls[ARGV[at + 1]](
    key, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], tonumber(ARGV[at + 5]), ARGV[at + 6],
    ARGV[at + 7])
end
return answers
