-- wrk's part of the load test. Every request carries a name of its own, GET and POST in turn; every answer must greet
-- the name of a request that this thread still waits for, once. The totals are printed as one line of JSON.

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
  thread:set("thread_number", #threads)
end

function init()
  sent, answered, bad_status, bad_type, bad_body, first_bad = 0, 0, 0, 0, 0, ""
  waiting = {}
  -- wrk calls request() of the first thread once before the load, to see what the script makes, and does not send that.
  rehearsals = thread_number == 1 and 1 or 0
end

function request()
  local name = string.format("t%dn%d", thread_number, sent)
  if rehearsals > 0 then
    rehearsals = rehearsals - 1
  else
    sent = sent + 1
    waiting[name] = true
  end
  if sent % 2 == 0 then
    return wrk.format("GET", "/v1/hello/" .. name)
  end
  return wrk.format("POST", "/v1/hello", { ["Content-Type"] = "application/json" }, '{"name":"' .. name .. '"}')
end

local function media_type(headers)
  for name, value in pairs(headers) do
    if string.lower(name) == "content-type" then
      return value
    end
  end
  return ""
end

local function remember(status, body)
  if first_bad == "" then
    first_bad = tostring(status) .. " " .. string.sub(body, 1, 200)
  end
end

function response(status, headers, body)
  answered = answered + 1
  if status ~= 200 then
    bad_status = bad_status + 1
    remember(status, body)
    return
  end
  if string.sub(media_type(headers), 1, 16) ~= "application/json" then
    bad_type = bad_type + 1
    remember(status, media_type(headers))
    return
  end
  local name = string.match(body, '^%s*{%s*"message"%s*:%s*"Hello (t%d+n%d+)!"%s*}%s*$')
  if name == nil or not waiting[name] then
    bad_body = bad_body + 1
    remember(status, body)
    return
  end
  waiting[name] = nil
end

local function quote(text)
  return '"' .. string.gsub(text, '[%c"\\\128-\255]', function(letter) return string.format("\\u%04x", string.byte(letter)) end) .. '"'
end

function done(summary, latency, requests)
  local totals = { sent = 0, answered = 0, bad_status = 0, bad_type = 0, bad_body = 0 }
  local first = ""
  for _, thread in ipairs(threads) do
    for key, value in pairs(totals) do
      totals[key] = value + thread:get(key)
    end
    if first == "" then
      first = thread:get("first_bad")
    end
  end
  local parts = {}
  for key, value in pairs(totals) do
    parts[#parts + 1] = string.format('"%s":%d', key, value)
  end
  for key, value in pairs(summary.errors) do
    parts[#parts + 1] = string.format('"errors_%s":%d', key, value)
  end
  parts[#parts + 1] = string.format('"requests":%d', summary.requests)
  parts[#parts + 1] = '"first_bad":' .. quote(first)
  print("totals {" .. table.concat(parts, ",") .. "}")
end
