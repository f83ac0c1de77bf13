// Cancels jobs of pg-boss or graphile-worker from inside this process, on commands from standard
// input: "fill N", "bulk N", "single CLIENTS SECONDS". Prints one JSON object for each. Neither
// keeps an audit trail, and both are given the ids of the jobs.
import { createInterface } from "node:readline";

const [peer, url] = process.argv.slice(2);

// Both libraries have their own pool of connections, of ten.
async function pgBoss() {
  const { default: PgBoss } = await import("pg-boss");
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
  await boss.start();
  await boss.createQueue("bench");
  return {
    // The state of a cancelled job becomes "cancelled".
    cancel: (ids) => boss.cancel("bench", ids),
    insert: async (count) => {
      const ids = Array.from({ length: count }, () => crypto.randomUUID());
      await boss.insert(ids.map((id) => ({ id, name: "bench" })));
      return ids;
    },
    stop: () => boss.stop({ graceful: false }),
  };
}

async function graphileWorker() {
  const { makeWorkerUtils } = await import("graphile-worker");
  const utils = await makeWorkerUtils({ connectionString: url });
  await utils.migrate();
  return {
    // It has no cancel: the job is marked as failed for good.
    cancel: (ids) => utils.permanentlyFailJobs(ids, "cancelled"),
    insert: async (count) => {
      const { rows } = await utils.withPgClient((client) =>
        client.query(
          "SELECT (graphile_worker.add_job('bench', json_build_object('n', n))).id FROM generate_series(1, $1) n",
          [count],
        ),
      );
      return rows.map((row) => row.id);
    },
    stop: () => utils.release(),
  };
}

const jobs = peer === "pg-boss" ? await pgBoss() : await graphileWorker();
let ids = [];

async function bulk(count) {
  const chosen = ids.splice(0, count);
  const started = performance.now();
  await jobs.cancel(chosen);
  return { count: chosen.length, seconds: (performance.now() - started) / 1000 };
}

async function single(clients, seconds) {
  const millis = [];
  const started = performance.now();
  const client = async () => {
    while (ids.length > 0 && performance.now() - started < seconds * 1000) {
      const before = performance.now();
      await jobs.cancel([ids.pop()]);
      millis.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { millis, seconds: (performance.now() - started) / 1000 };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...numbers] = line.split(" ");
  let answer = {};
  if (command === "fill") ids = await jobs.insert(Number(numbers[0]));
  else if (command === "bulk") answer = await bulk(Number(numbers[0]));
  else answer = await single(Number(numbers[0]), Number(numbers[1]));
  console.log(JSON.stringify(answer));
}
await jobs.stop();
