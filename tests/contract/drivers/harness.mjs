// What the JavaScript drivers share; harness.py says what a driver is. Run it in the folder that holds the client's
// node_modules.

const AT_ONCE = 12;
const STUCK_AFTER_MS = 75_000;

export const servers = JSON.parse(process.env.CONTRACT);

export const PICTURE = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsItkNKMZ0Qi+hcEKLNXzWgQE" +
    "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQELgvg2wE81D8XVgAAAABJRU5ErkJggg==",
  "base64",
);

// Every scenario is called with what is told of a server.
export async function runAll(scenarios) {
  const names = Object.keys(scenarios).filter((name) => process.argv.length < 3 || process.argv.includes(name));
  const waiting = names.flatMap((name) => Object.keys(servers).map((server) => [server, name]));
  const stuck = setTimeout(() => {
    console.error(`still running after ${STUCK_AFTER_MS} ms`);
    process.exit(3);
  }, STUCK_AFTER_MS);
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (waiting.length) {
        const [server, name] = waiting.shift();
        await runOne(server, name, scenarios[name]);
      }
    }),
  );
  clearTimeout(stuck);
}

async function runOne(server, scenario, run) {
  const started = performance.now();
  let error = null;
  try {
    await run(servers[server]);
  } catch (thrown) {
    error = thrown.stack + (thrown.cause ? `\ncaused by ${thrown.cause.stack ?? thrown.cause}` : "");
  }
  const seconds = Math.round(performance.now() - started) / 1000;
  console.log(JSON.stringify({ server, scenario, mode: "async", seconds, error }));
}
