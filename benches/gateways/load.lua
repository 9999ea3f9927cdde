-- wrk's part of the comparison: the requests of one workload in turn, and the totals as one line of JSON. Answers are checked
-- before and after the timing, not here, so that the load costs as little as it can; a status over 399 is an error.

wrk.method = os.getenv("LOAD_METHOD")
local file = os.getenv("LOAD_BODY")
if file ~= "" then
  wrk.body = io.open(file, "rb"):read("*a")
  wrk.headers["Content-Type"] = "application/json"
end

local requests, turn = {}, 0

function init(arguments)
  for path in os.getenv("LOAD_PATHS"):gmatch("[^\n]+") do
    requests[#requests + 1] = wrk.format(nil, path)
  end
end

-- A request that is always the same is not asked for again and again: wrk makes it once if there is no such function.
if os.getenv("LOAD_PATHS"):find("\n") then
  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency, requests)
  local errors = 0
  for _, count in pairs(summary.errors) do
    errors = errors + count
  end
  print(string.format('totals {"requests":%d,"bytes":%d,"p50_ms":%f,"p99_ms":%f,"p999_ms":%f,"max_ms":%f,"errors":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}',
    summary.requests, summary.bytes, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    latency.max / 1e3, errors, summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.status,
    summary.errors.timeout))
end
