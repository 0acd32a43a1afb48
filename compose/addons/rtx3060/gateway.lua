-- What the gateway keeps, for whom, and what it counts. nginx.conf says when each function is asked.

local cjson = require("cjson.safe")
local ffi = require("ffi")
local canonical = require("canonical")
local nothing_to_chance = require("chance")
local store = require("store")

ffi.cdef([[
  const void *EVP_sha256(void);
  unsigned char *HMAC(const void *kind, const void *key, int key_length,
                      const unsigned char *text, size_t length,
                      unsigned char *digest, unsigned int *digest_length);
]])

-- A longer question is passed on unread. client_body_buffer_size in nginx.conf is as much.
local LONGEST_QUESTION = 256 * 1024

-- Questions are held in memory until the engine has answered them: together no more than a quarter
-- of it. What comes then passes on without being held.
local MOST_HELD = (tonumber(os.getenv("CACHE_MEMORY_BYTES") or "") or 128 * 1024 * 1024) / 4
local held = 0

-- What nginx itself would answer without a body, as if the client had one.
local CONDITIONS = {
  "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range",
}

local RESULTS = { "hit", "miss", "bypass", "uncacheable", "unstored", "error" }

local sampled = os.getenv("CACHE_SAMPLED") == "true"
local shared = os.getenv("CACHE_SHARED") == "true"
local limit_bytes = tonumber(os.getenv("CACHE_LIMIT_BYTES")) or 0
local engine_keys = os.getenv("ENGINE_KEYS") or ""

local owners = {} -- what a client sends of its key → the key
for key in engine_keys:gmatch("[^,]+") do
  owners["Bearer " .. key] = key
end

-- What is kept is found again only by those who know this: neither a key nor a question can be
-- guessed from the names of the files, and with another engine there are no answers yet.
local salt = table.concat(
  { engine_keys, os.getenv("ENGINE_STARTED_AS") or "", os.getenv("ENGINE_WEIGHTS") or "" }, "\0"
)

local gateway = {}

local function digest(text)
  local out, length = ffi.new("unsigned char[32]"), ffi.new("unsigned int[1]")
  ffi.C.HMAC(ffi.C.EVP_sha256(), salt, #salt, text, #text, out, length)
  return (ffi.string(out, 32):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- Whether a header has this word, among others and however it is written.
local function says(headers, name, word)
  local value = headers[name] or ""
  if type(value) == "table" then value = table.concat(value, ",") end
  for found in value:lower():gmatch("[^,%s]+") do
    if found == word then return true end
  end
  return false
end

-- Takes note of what a question holds until it is done with; false where that is too much.
local function hold(length)
  if held + length > MOST_HELD then return false end
  held = held + length
  ngx.var.held = length
  return true
end

-- The body, where it is one that can be looked at.
local function body_of(headers)
  local length = tonumber(headers["content-length"] or "")
  if not length or length > LONGEST_QUESTION then return nil end
  if not tostring(headers["content-type"] or ""):lower():find("^application/json") then return nil end
  if not hold(length) then return nil end
  ngx.req.read_body()
  return ngx.req.get_body_data()
end

-- Engines let web pages of this origin read the answer, and say so in its header.
local function origin_of(headers)
  local origin = headers["origin"] or ""
  return type(origin) == "table" and table.concat(origin, ",") or origin
end

-- What is kept under for this question, or nil where nothing is.
local function key_of(headers)
  local owner, path = owners[headers["authorization"] or ""], ngx.var.uri
  -- Written in another way, or with something behind it, it may be another page to the engine.
  if not owner or ngx.req.get_method() ~= "POST" or ngx.var.request_uri ~= path then return nil end
  local body = body_of(headers)
  local text = body and canonical(body)
  local question = text and cjson.decode(body)
  if type(question) ~= "table" then return nil end
  local wanted = sampled or says(headers, "x-cache", "allow")
  if not wanted and not nothing_to_chance(path, question) then return nil end
  local asker = shared and "" or owner
  return digest(table.concat({ path, asker, origin_of(headers), text }, "\0"))
end

-- Before the engine is asked: is there an answer, may there be one, or is it none of our business?
function gateway.decide()
  local headers = ngx.req.get_headers()
  if says(headers, "cache-control", "no-store") then
    ngx.var.counted_as = "bypass"
    return ngx.exec("@through")
  end
  local key = key_of(headers)
  if not key then return ngx.exec("@through") end
  ngx.var.cache_key = key
  for _, name in ipairs(CONDITIONS) do ngx.req.clear_header(name) end
  if says(headers, "cache-control", "no-cache") then ngx.var.ask_anew = "1" end
  if not store.usable() then ngx.var.keep_nothing = "1" end
end

local function failed(answer)
  if type(answer) ~= "table" then return true end
  if answer.error ~= nil and answer.error ~= cjson.null then return true end
  for _, choice in ipairs(type(answer.choices) == "table" and answer.choices or {}) do
    local why = type(choice) == "table" and choice.finish_reason
    if why == "abort" or why == "error" then return true end
  end
  return false
end

-- Engines send what went wrong in the middle of a stream as an event, and HTTP 200 is out by then.
local function whole_stream(answer)
  if not answer:find("\ndata: %[DONE%]%s*$") then return false end
  for line in answer:gmatch("[^\r\n]+") do
    if line:find("^error") or line:find("^event:%s*error") then return false end
    local data = line:match("^data:%s*({.*)")
    -- Only these are worth reading; a token may have the word in it.
    if data and (data:find("error", 1, true) or data:find("abort", 1, true)) then
      if failed(cjson.decode(data)) then return false end
    end
  end
  return true
end

-- After the last byte, when nginx has put the answer among the others: whole and good, or away.
function gateway.judge()
  if not ngx.arg[2] then return end
  gateway.judge_now()
end

function gateway.judge_now()
  local key = ngx.var.cache_key
  if ngx.ctx.judged or key == "" or ngx.var.upstream_cache_status == "HIT" then return end
  ngx.ctx.judged = true
  -- Only these were put there; under the same key may lie a good one of before.
  if ngx.status ~= 200 or ngx.var.keep_nothing == "1" then return end
  local headers, answer = store.read(key)
  if not headers then return end
  local stream = headers:lower():find("\ncontent%-type: *text/event%-stream")
  local good = stream and whole_stream(answer) or not stream and not failed(cjson.decode(answer))
  if not good then store.remove(key) end
end

local function outcome()
  local status = ngx.var.upstream_cache_status
  if ngx.var.counted_as ~= "uncacheable" or not status or status == "" then
    return ngx.var.counted_as
  end
  if status == "HIT" or status == "BYPASS" then return status:lower() end
  return ngx.var.keep_nothing == "1" and "unstored" or "miss"
end

-- The response header: what came of it.
function gateway.mark()
  ngx.header["X-Cache"] = outcome():upper()
end

function gateway.count()
  gateway.judge_now() -- where the client was gone before the end
  ngx.shared.counters:incr(outcome(), 1, 0)
  held = held - (tonumber(ngx.var.held) or 0)
end

local function say_error(status, kind, message)
  ngx.status = status
  ngx.header.content_type = "application/json"
  ngx.print(cjson.encode({ error = { message = message, type = kind, code = status } }), "\n")
end

-- In place of what nginx says of an engine that gives no answer.
function gateway.engine_down()
  ngx.var.counted_as = "error"
  local reached = tonumber(ngx.var.upstream_connect_time or "")
  if not reached then
    return say_error(503, "engine_unavailable",
      "The engine cannot be reached: it is stopped or still starting. Only questions whose answers "
      .. "are kept are answered now.")
  end
  if ngx.status == 504 then
    return say_error(504, "engine_timeout", "The engine did not answer in time.")
  end
  say_error(502, "engine_broke_off", "The engine took the question and hung up without an answer.")
end

function gateway.metrics()
  if not owners[ngx.var.http_authorization or ""] then
    return say_error(401, "authentication_error", "Invalid API key.")
  end
  local lines = { "# TYPE deployctl_cache_requests_total counter" }
  for _, result in ipairs(RESULTS) do
    lines[#lines + 1] = ('deployctl_cache_requests_total{result="%s"} %d')
      :format(result, ngx.shared.counters:get(result) or 0)
  end
  for name, value in pairs({
    size_bytes = store.size(),
    limit_bytes = limit_bytes,
    store_usable = store.usable() and 1 or 0,
  }) do
    lines[#lines + 1] = ("# TYPE deployctl_cache_%s gauge\ndeployctl_cache_%s %d")
      :format(name, name, value)
  end
  ngx.header.content_type = "text/plain; version=0.0.4"
  ngx.print(table.concat(lines, "\n"), "\n")
end

return gateway
