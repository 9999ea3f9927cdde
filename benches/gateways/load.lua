-- wrk's part of the comparison: one request over and over, the totals as one line of JSON. Answers are checked before
-- the timing, not here, so that the load costs as little as it can; a status other than 2xx or 3xx is an error.

wrk.method = os.getenv("LOAD_METHOD")
local body = os.getenv("LOAD_BODY")
if body ~= "" then
  wrk.body = body
  wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency, requests)
  local errors = 0
  for _, count in pairs(summary.errors) do
    errors = errors + count
  end
  print(string.format('totals {"requests":%d,"seconds":%f,"p99_ms":%f,"errors":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3, errors))
end
