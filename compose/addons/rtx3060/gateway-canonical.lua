-- One text for one question: a JSON object with its own members sorted and no space between its parts.
-- Only its own: deeper down the order can be meaning (a model sees tools as they are written, and
-- fills in a schema in the order of its properties). Numbers and strings stay as they were written.

local find, sub, byte = string.find, string.sub, string.byte

-- A question of more parts (brackets, commas, strings, spaces) is given up: meanwhile nobody else is
-- answered. Reading so many takes some 10 ms.
local MOST_PARTS = 40000

local function after_space(text, at)
  return find(text, "[^ \t\r\n]", at) or #text + 1
end

local function after_string(text, at)
  local from = at + 1
  while true do
    local quote = find(text, '["\\]', from)
    if not quote then error("a string without an end") end
    if byte(text, quote) == 34 then return quote + 1 end
    from = quote + 2
  end
end

-- A value's text from a place on, and the place of the comma or bracket behind it.
local function read_value(text, at, budget)
  local pieces, depth, from = {}, 0, at
  while true do
    local sign_at = find(text, '[ \t\r\n"%[%]{},]', at)
    if not sign_at then error("no end") end
    budget.parts = budget.parts - 1
    if budget.parts < 0 then error("too many parts") end
    local sign = byte(text, sign_at)
    at = sign_at + 1
    if sign == 34 then
      at = after_string(text, sign_at)
    elseif sign == 123 or sign == 91 then
      depth = depth + 1
    elseif sign == 125 or sign == 93 or sign == 44 then
      if depth == 0 then
        pieces[#pieces + 1] = sub(text, from, sign_at - 1)
        return table.concat(pieces), sign_at
      end
      if sign ~= 44 then depth = depth - 1 end
    else
      pieces[#pieces + 1] = sub(text, from, sign_at - 1)
      at = after_space(text, at)
      from = at
    end
  end
end

local function read_name(text, at)
  if byte(text, at) ~= 34 then error("a member without a name") end
  local behind = after_string(text, at)
  local name, colon = sub(text, at, behind - 1), after_space(text, behind)
  -- The same name can be written in two ways with it, and then stand there twice.
  if find(name, "\\", 1, true) then error("an escaped name") end
  if byte(text, colon) ~= 58 then error("a name without a value") end
  return name, after_space(text, colon + 1)
end

-- The members of the object that begins at a place, and the place behind it.
local function read_members(text, at)
  local members, budget = {}, { parts = MOST_PARTS }
  if byte(text, at) ~= 123 then error("no object") end
  at = after_space(text, at + 1)
  if byte(text, at) == 125 then return members, at + 1 end
  while true do
    local name, value
    name, at = read_name(text, at)
    value, at = read_value(text, at, budget)
    members[#members + 1] = { name, value }
    if byte(text, at) == 125 then return members, at + 1 end
    if byte(text, at) ~= 44 then error("neither a comma nor an end") end
    at = after_space(text, at + 1)
  end
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

-- The canonical text of a JSON object, or nil where it is none or too much. It is read again by a
-- parser that knows the whole of JSON; this one only has to tell its parts from each other.
return function(text)
  local ok, members, behind = pcall(read_members, text, after_space(text, 1))
  if not ok or after_space(text, behind) <= #text then return nil end
  local whole, result = pcall(joined, members)
  return whole and result or nil
end
