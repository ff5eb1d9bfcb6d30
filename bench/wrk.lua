-- What wrk sends, from the environment: METHOD, KEY, BODY, and PATHS, a file with one path a line, drawn at random;
-- PAUSE_MS between two requests of one connection. Prints one line of JSON at the end.
local paths, body, pause = {}, os.getenv("BODY"), tonumber(os.getenv("PAUSE_MS") or "0")
for line in io.lines(os.getenv("PATHS")) do paths[#paths + 1] = line end
wrk.method = os.getenv("METHOD") or "GET"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("KEY") or "")
if body then
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = body
end

local formatted, drawn = {}, #paths
function init()
  math.randomseed(1)
  for at = 1, drawn do formatted[at] = wrk.format(nil, paths[at]) end
end

if drawn == 0 then error("PATHS is empty") end
function request() return formatted[drawn == 1 and 1 or math.random(drawn)] end
if pause > 0 then
  function delay() return pause end
end

function done(summary, latency)
  local failed = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50_ms": %.4f, "p99_ms": %.4f, "bytes": %d}',
    summary.requests, summary.duration / 1e6, failed.status, failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.bytes))
end
