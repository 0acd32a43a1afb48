-- The folder with the answers: whether it can take more, how large it is, and what is in a file.

local ffi = require("ffi")
ffi.cdef([[
  int access(const char *path, int mode);
  // As glibc has them on 64 bits; the rest of the first is not looked at.
  typedef struct {
    unsigned long block, fragment, blocks, free, available; unsigned long rest[32];
  } gateway_room;
  int statvfs(const char *path, gateway_room *room);
  typedef struct {
    unsigned long inode; long offset; unsigned short length; unsigned char kind; char name[256];
  } gateway_entry;
  void *opendir(const char *path);
  gateway_entry *readdir(void *folder);
  int closedir(void *folder);
]])

local ANSWERS, COMING = "/tmp/store/answers", "/tmp/store/coming"
local MAY_WRITE_AND_ENTER = 3
-- nginx breaks off an answer that it cannot write down: stop long before the disk is full.
local SPARE_BYTES = 32 * 1024 * 1024
-- A larger answer is not kept: it is read as a whole, and meanwhile nobody else is answered. One that
-- says how long it is does not come this far; nginx.conf has the same number.
local LARGEST_BYTES = 2 * 1000 * 1000
-- nginx's own part of a file and the engine's headers.
local MOST_HEADERS = 64 * 1024
local MEASURE_EVERY_S = 10

local store = {}
local was_usable = true
local measured_at, bytes = 0, 0

local function look()
  for _, folder in ipairs({ ANSWERS, COMING }) do
    if ffi.C.access(folder, MAY_WRITE_AND_ENTER) ~= 0 then return false end
  end
  local room = ffi.new("gateway_room")
  if ffi.C.statvfs(ANSWERS, room) ~= 0 then return false end
  return tonumber(room.available) * tonumber(room.fragment) >= SPARE_BYTES
end

-- Whether an answer may be written there now. Looked at for each question: nginx breaks off every
-- answer that comes while it is believed to be there and is not.
function store.usable()
  local now = look()
  if was_usable and not now then
    -- Not by ngx.log, which adds the request's first line.
    io.stderr:write("the cache's volume is full or cannot be written: answers are not kept\n")
  end
  was_usable = now
  return now
end

local function each(folder, what)
  local opened = ffi.C.opendir(folder)
  if opened == nil then return end
  while true do
    local entry = ffi.C.readdir(opened)
    if entry == nil then break end
    local name = ffi.string(entry.name)
    if name:sub(1, 1) ~= "." then what(folder .. "/" .. name) end
  end
  ffi.C.closedir(opened)
end

local function add(path)
  local file = io.open(path, "rb")
  if not file then return end
  bytes = bytes + (file:seek("end") or 0)
  file:close()
end

-- Bytes of all answers, measured at most every ten seconds.
function store.size()
  local passed = ngx.now() - measured_at
  if passed >= MEASURE_EVERY_S or passed < 0 then -- the clock was set back
    measured_at, bytes = ngx.now(), 0
    each(ANSWERS, function(folder) each(folder, add) end)
  end
  return bytes
end

-- Where nginx puts the answer to a key: `levels=1`.
local function path_of(key)
  local name = ngx.md5(key)
  return ANSWERS .. "/" .. name:sub(-1) .. "/" .. name
end

-- The headers and the body of the answer that is kept for a key, as the engine sent them: nil where
-- there is none, '' for the body if it is too large.
function store.read(key)
  local file = io.open(path_of(key), "rb")
  if not file then return nil end
  local size = file:seek("end") or 0
  file:seek("set", 0)
  local whole = file:read(math.min(size, LARGEST_BYTES + MOST_HEADERS)) or ""
  file:close()
  local _, headers_end = whole:find("\r\n\r\n", 1, true)
  if not headers_end then return whole, "" end
  if size - headers_end > LARGEST_BYTES then return whole:sub(1, headers_end), "" end
  return whole:sub(1, headers_end), whole:sub(headers_end + 1)
end

-- Forgets the answer to a key. nginx takes a file that is gone for an answer that never was, and
-- says once in its log, when its time is up, that it could not remove it.
function store.remove(key)
  return os.remove(path_of(key))
end

return store
