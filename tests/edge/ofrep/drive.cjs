// Drives OpenFeature's own providers as their documentation says: node drive.cjs server|web URL KEY USER FLAG….
// Prints what the OpenFeature client says of each flag, as JSON. Run in the folder where the SDKs are installed.
const { createRequire } = require("node:module");
const load = createRequire(process.cwd() + "/");
const [kind, url, key, user, ...flags] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}` };
const DEFAULTS = { boolean: false, string: "default", number: -1, object: {} };

function details(client, flag) {
  const [name, type] = flag.split(":");
  const method = `get${type[0].toUpperCase()}${type.slice(1)}Details`;
  return [name, (...more) => client[method](name, DEFAULTS[type], ...more)];
}

async function server() {
  const { OpenFeature } = load("@openfeature/server-sdk");
  const { OFREPProvider } = load("@openfeature/ofrep-provider");
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: url, headers: Object.entries(headers) }));
  const client = OpenFeature.getClient();
  const found = {};
  for (const [name, ask] of flags.map((flag) => details(client, flag))) found[name] = await ask(user ? { targetingKey: user } : {});
  return found;
}

async function web() {
  const { OpenFeature } = load("@openfeature/web-sdk");
  const { OFREPWebProvider } = load("@openfeature/ofrep-web-provider");
  const answers = [];
  const plain = globalThis.fetch;
  globalThis.fetch = async (...asked) => {
    const answer = await plain(...asked);
    answers.push(answer.status);
    return answer;
  };
  await OpenFeature.setContext(user ? { targetingKey: user } : {});
  const provider = new OFREPWebProvider({ baseUrl: url, headers: Object.entries(headers), pollInterval: 200 });
  try {
    await OpenFeature.setProviderAndWait(provider);
  } catch (error) {
    return { error: { code: error.code, message: error.message }, answers };
  }
  const client = OpenFeature.getClient();
  const found = {};
  for (const [name, ask] of flags.map((flag) => details(client, flag))) found[name] = ask();
  while (answers.length < 3) await new Promise((done) => setTimeout(done, 20)); // two polls more
  await OpenFeature.close();
  return { found, answers };
}

({ server, web })[kind]().then((found) => {
  console.log(JSON.stringify(found));
  process.exit(0);
});
