-- One text for one question: JSON with its members sorted and no space between its parts.
-- Numbers and strings stay as they were written: whatever differs there stays different.

local find, sub, byte = string.find, string.sub, string.byte

local read  -- a value, from a place on: its canonical text and the place behind it

local function after_space(text, at)
  return find(text, "[^ \t\r\n]", at) or #text + 1
end

local function read_string(text, at)
  local from = at + 1
  while true do
    local quote = find(text, '["\\]', from)
    if not quote then error("a string without an end") end
    if byte(text, quote) == 34 then return sub(text, at, quote), quote + 1 end
    from = quote + 2
  end
end

local function read_member(text, at)
  if byte(text, at) ~= 34 then error("a member without a name") end
  local name, colon = read_string(text, at)
  -- The same name can be written in two ways with it, and then stand there twice.
  if find(name, "\\", 1, true) then error("an escaped name") end
  colon = after_space(text, colon)
  if byte(text, colon) ~= 58 then error("a name without a value") end
  local value, behind = read(text, after_space(text, colon + 1))
  return name, value, behind
end

-- Which of two values of one name counts is not said anywhere: such a question is nobody's twin.
local function joined(members)
  table.sort(members, function(a, b) return a[1] < b[1] end)
  local parts = {}
  for i, member in ipairs(members) do
    if i > 1 and members[i - 1][1] == member[1] then error("a name twice") end
    parts[i] = member[1] .. ":" .. member[2]
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function read_items(text, at, close, one)
  at = after_space(text, at + 1)
  if byte(text, at) == close then return at + 1 end
  while true do
    at = after_space(text, one(at))
    local sign = byte(text, at)
    if sign == close then return at + 1 end
    if sign ~= 44 then error("neither a comma nor an end") end
    at = after_space(text, at + 1)
  end
end

function read(text, at)
  local sign = byte(text, at)
  if sign == 34 then return read_string(text, at) end
  if sign == 123 then
    local members = {}
    local behind = read_items(text, at, 125, function(from)
      local name, value, next_at = read_member(text, from)
      members[#members + 1] = { name, value }
      return next_at
    end)
    return joined(members), behind
  end
  if sign == 91 then
    local items = {}
    local behind = read_items(text, at, 93, function(from)
      local value, next_at = read(text, from)
      items[#items + 1] = value
      return next_at
    end)
    return "[" .. table.concat(items, ",") .. "]", behind
  end
  local first, last = find(text, "^[%w+.-]+", at)
  if not first then error("no value") end
  return sub(text, first, last), last + 1
end

-- The canonical text of one JSON value, or nil where it is none. What it says was read before, by
-- a parser that knows the whole of JSON; this one only has to tell its parts from each other.
return function(text)
  local ok, value, behind = pcall(read, text, after_space(text, 1))
  if not ok or after_space(text, behind) <= #text then return nil end
  return value
end
