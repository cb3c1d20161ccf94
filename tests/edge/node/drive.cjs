// Drives one SDK as its documentation says: node drive.cjs SDK URL KEY WORD. Run in the folder where the SDKs are installed.
// Prints what the SDK reported, as JSON, once everything is delivered; fails when the SDK gave an event up.
const { createRequire } = require("node:module");
const load = createRequire(process.cwd() + "/");
const [sdk, url, key, word] = process.argv.slice(2);
const user = `u-${word}`;
const device = `d-${word}`;
const context = { page: { path: "/checkout" }, locale: "de-DE", userAgent: "Mozilla/5.0 (iPad; CPU) AppleWebKit" };

async function segment() {
  const { Analytics } = load("@segment/analytics-node");
  const errors = [];
  const client = new Analytics({ writeKey: key, host: url, flushAt: 3, maxRetries: 2 }).on("error", (error) => errors.push(`${error.reason}`));
  client.page({ anonymousId: device, name: "Checkout", context });
  client.identify({ userId: user, anonymousId: device, traits: { plan: "pro" }, context });
  client.track({ userId: user, anonymousId: device, event: "Report Exported", properties: { rows: 3 }, context });
  client.alias({ previousId: device, userId: user });
  await client.closeAndFlush({ timeout: 15000 });
  return errors;
}

async function rudderstack() {
  const Analytics = load("@rudderstack/rudder-sdk-node");
  const errors = [];
  const client = new Analytics(key, { dataPlaneUrl: url, errorHandler: (error) => errors.push(`${error}`), logLevel: "silly" });
  client.page({ anonymousId: device, name: "Checkout", context });
  client.identify({ userId: user, anonymousId: device, traits: { plan: "pro" }, context });
  client.track({ userId: user, anonymousId: device, event: "Report Exported", properties: { rows: 3 }, context });
  client.alias({ previousId: device, userId: user });
  await client.flush();
  return errors;
}

async function snowplow() {
  const { newTracker, buildPageView, buildSelfDescribingEvent, buildStructEvent } = load("@snowplow/node-tracker");
  const errors = [];
  const done = {};
  const all = new Promise((resolve) => (done.resolve = resolve));
  let succeeded = 0;
  const emitter = {
    endpoint: url,
    bufferSize: 3,
    onRequestSuccess: (batch) => (succeeded += batch.length) >= 3 && done.resolve(),
    onRequestFailure: (failure) => errors.push(failure.message) && done.resolve(),
  };
  const tracker = newTracker({ namespace: "ns", appId: key, encodeBase64: process.argv[6] !== "plain" }, emitter);
  tracker.setUserId(user);
  tracker.setDomainUserId(device);
  tracker.setLang("en-GB");
  const entities = [{ schema: "iglu:com.acme/plan/jsonschema/1-0-0", data: { name: "pro" } }];
  tracker.track(buildPageView({ pageUrl: "https://shop.example/checkout?x=1", pageTitle: "Checkout" }), entities);
  tracker.track(buildStructEvent({ category: "video", action: "play", value: 2.5 }));
  tracker.track(buildSelfDescribingEvent({ event: { schema: "iglu:com.acme/billing_intent/jsonschema/1-0-0", data: { amount: 9 } } }));
  await tracker.flush();
  await all;
  return errors;
}

async function amplitude() {
  const client = load("@amplitude/analytics-node");
  await client.init(key, { serverUrl: `${url}/2/httpapi`, flushIntervalMillis: 50, logLevel: 0 }).promise;
  const sent = [
    client.track("Report Exported", { rows: 3 }, { user_id: user, device_id: device, language: "en-US" }),
    client.track("[Amplitude] Page Viewed", { "[Amplitude] Page Path": "/checkout" }, { device_id: device }),
    client.identify(new client.Identify().set("plan", "pro"), { user_id: user, device_id: device }),
  ];
  const results = await Promise.all(sent.map((one) => one.promise));
  return results.filter((result) => result.code !== 200).map((result) => `${result.code} ${result.message}`);
}

({ segment, rudderstack, snowplow, amplitude })[sdk]().then(
  (errors) => {
    console.log(JSON.stringify(errors));
    process.exit(errors.length ? 1 : 0);
  },
  (error) => {
    console.error(error);
    process.exit(2);
  },
);
