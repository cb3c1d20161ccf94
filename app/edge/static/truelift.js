/*! Truelift in the browser: events, decisions in time, an exposure only for what was really shown. Types: truelift.d.ts */
(function (root) {
  "use strict";
  const STORE = "truelift", COOKIE = "truelift_id", STATE = "truelift-state";
  const SLOT = "data-truelift-slot", DONE = "data-truelift-decision";
  const QUEUE_MAX = 500, SHOWN_MAX = 200, BATCH_MAX = 50, BATCH_CHARS = 40000, RENDERED_MAX = 65536; // a keepalive request may have 64 KiB
  const SESSION_MS = 18e5, SOON_MS = 10, RETRY_MS = 1000, RETRY_MAX_MS = 60000, ANSWER_MS = 10000;
  const ANSWER_SHARE = 0.8; // of the deadline is the edge's, the rest the way there and back
  const NOTHING = { kind: "render", component: "none" };
  const BOTS = /bot[/;-]|crawl|spider|slurp|headless|lighthouse/i;

  const uuid = () => crypto.randomUUID ? crypto.randomUUID() : "10000000-1000-4000-8000-100000000000".replace(/[018]/g, c =>
    (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16));
  const is = value => value !== undefined && value !== null;
  // FNV-1a, 64 bits: what was on the screen, to be held against what others saw of the same variant. Equality is all it is for.
  const digest = text => {
    let hash = 0xcbf29ce484222325n;
    for (const byte of new TextEncoder().encode(text.slice(0, RENDERED_MAX))) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
    return hash.toString(16).padStart(16, "0");
  };

  // What outlives the page, shared by all tabs: read before each change. Without storage it lasts as long as the page.
  let memory = {};
  function load() {
    try { memory = JSON.parse(localStorage.getItem(STORE)) || {}; } catch { /* blocked or damaged: what this page knows */ }
    return { queue: [], shown: [], ...memory };
  }
  function change(edit) {
    const kept = load(), result = edit(kept);
    memory = kept;
    try { localStorage.setItem(STORE, JSON.stringify(kept)); } catch { /* full or blocked: memory has it */ }
    return result;
  }

  root.Truelift = function (options) {
    const o = { deadlineMs: 300, ratio: 0.5, frames: 1, heightPx: 1, automation: false, onError: e => console.warn("truelift:", e), ...options };
    const url = path => o.edge.replace(/\/$/, "") + path;
    const bot = !o.automation && (navigator.webdriver || BOTS.test(navigator.userAgent));
    let user = o.userId, handed = handedOver(), failures = 0, timer, sending;
    const watched = new WeakMap(), told = new Set();
    // A page that is prepared in advance has been seen by nobody: it says and asks nothing until it is.
    const live = document.prerendering
      ? new Promise(done => document.addEventListener("prerenderingchange", done, { once: true })) : Promise.resolve();

    // -- who
    function anonymousId() {
      const cookie = document.cookie.match(/(?:^|; )truelift_id=([\w-]+)/);
      return change(kept => {
        kept.id = (cookie && cookie[1]) || kept.id || uuid();
        if (!cookie) setCookie(kept.id);
        return kept.id;
      });
    }
    function setCookie(id) {
      document.cookie = `${COOKIE}=${id}; path=/; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
    }
    function sessionId() {
      return change(kept => {
        const now = Date.now(), last = kept.session;
        kept.session = { id: last && now - last.at < SESSION_MS ? last.id : uuid(), at: now };
        return kept.session.id;
      });
    }
    // What the server rendered with. A copy that was made for somebody else, by whatever cache, is not used.
    function handedOver() {
      const element = document.getElementById(STATE);
      if (!element) return null;
      const state = JSON.parse(element.textContent);
      return state.anonymous_id === anonymousId() && (state.user_id || null) === (user || null) ? state : null;
    }

    // -- events: kept until the edge has them, under one id for all attempts
    function envelope(name, properties) {
      return {
        event_name: name, event_id: uuid(), user_id: user || null, anonymous_id: anonymousId(), session_id: sessionId(),
        ts: new Date().toISOString(), properties: properties || {},
        context: { route: location.pathname, device: /Mobi|Android/.test(navigator.userAgent) ? "mobile" : "desktop", locale: navigator.language },
      };
    }
    function enqueue(event) {
      const lost = change(kept => {
        kept.queue.push(event);
        return kept.queue.splice(0, Math.max(0, kept.queue.length - QUEUE_MAX));
      });
      if (lost.length) o.onError(`the queue is full, ${lost.length} events are given up`);
      later(SOON_MS);
    }
    function later(ms) {
      clearTimeout(timer);
      timer = setTimeout(() => live.then(flush), ms);
    }
    function batch() {
      let chars = 0;
      const waiting = load().queue.filter(event => !(sending && sending.has(event.event_id))).slice(0, BATCH_MAX);
      return waiting.filter((event, i) => (chars += JSON.stringify(event).length) < BATCH_CHARS || !i);
    }
    const body = events => JSON.stringify({ write_key: o.key, events });
    // Without headers of its own a request needs no preflight. keepalive: it outlives the page.
    const post = (path, text) => fetch(url(path), { method: "POST", body: text, keepalive: text.length < BATCH_CHARS * 1.5, credentials: "omit",
      signal: AbortSignal.timeout(ANSWER_MS) });
    async function flush() {
      const events = batch();
      if (sending || !events.length) return;
      const ids = sending = new Set(events.map(event => event.event_id));
      try {
        const answer = await post("/v1/events", body(events));
        if (answer.status >= 500 || answer.status === 429 || answer.status === 408) throw answer.status;
        const said = await answer.json();
        if (!answer.ok || said.rejected.length) o.onError(said);
        failures = 0;
        change(kept => { kept.queue = kept.queue.filter(event => !ids.has(event.event_id)); });
        later(SOON_MS);
      } catch (error) {
        later(Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** failures++) * (0.5 + Math.random()));
      } finally {
        sending = null;
      }
    }
    // Nobody hears whether a beacon arrived: its events stay queued, and the worker counts an event id once.
    function beacon() {
      const events = batch().filter(event => !told.has(event.event_id)); // hidden, then gone: said once
      if (events.length && !document.prerendering && navigator.sendBeacon(url("/v1/events"), body(events))) events.forEach(event => told.add(event.event_id));
    }

    // -- decisions
    async function decide(name, properties, more) {
      if (bot) return answered([]);
      if (handed && handed.event_name === name) {
        const state = handed, entry = performance.getEntriesByType("navigation")[0];
        handed = null;
        return answered(state.decisions, entry ? entry.responseStart : 0);
      }
      await live;
      const signal = envelope(name, properties), deadline = (more && more.deadlineMs) || o.deadlineMs;
      const asked = post("/v1/decide", JSON.stringify({ write_key: o.key, user_token: o.userToken, deadline_ms: Math.ceil(deadline * ANSWER_SHARE), event: signal }))
        .then(answer => { if (!answer.ok) throw answer.status; return answer.json(); });
      // The event counts even where the answer was not waited for.
      asked.catch(error => { if (!(error >= 400 && error < 500)) enqueue(signal); o.onError(error); });
      const late = new Promise(done => setTimeout(done, deadline));
      const answer = await Promise.race([asked.catch(() => null), late]);
      return answered(answer ? answer.decisions : [], performance.now());
    }
    function answered(decisions, at) {
      return {
        decisions,
        at(point, fallback) {
          const mine = decisions.filter(d => d.decision_point === point), found = mine.find(d => d.served === "variant") || mine.find(d => d.action);
          return found ? { ...found, at } : { decision_point: point, decision_id: "", action: fallback || NOTHING };
        },
      };
    }

    // -- slots: every arm, the control's empty one too, goes through the same lines
    function render(decision, element, fill) {
      const before = element.getAttribute(DONE), id = decision.decision_id || "-";
      if (before === "late") return false; // its default has been on the screen: what comes now would flicker
      if (before !== id) {
        try {
          element.replaceChildren();
          fill(element, decision.action);
        } catch (error) {
          o.onError(error);
          element.replaceChildren();
          element.setAttribute(DONE, "failed");
          return false;
        }
      }
      element.setAttribute(SLOT, decision.decision_point);
      element.setAttribute(DONE, id);
      watch(element, decision);
      return true;
    }
    // An empty slot has no size, a filled one may be higher than the screen: what is watched is a mark of one size at the top of
    // both, or the arms would be acknowledged by different rules.
    function watch(element, decision) {
      const old = watched.get(element);
      if (old) old();
      if (!decision.exposure_token || bot) return;
      const mark = document.createElement("i");
      mark.ariaHidden = "true";
      mark.style.cssText = `position:absolute;top:0;left:0;width:1px;height:${o.heightPx}px;pointer-events:none`;
      if (getComputedStyle(element).position === "static") element.style.position = "relative";
      element.style.minHeight = element.style.minHeight || o.heightPx + "px";
      element.prepend(mark);
      let inView = false, frames = 0, frame = 0;
      const look = () => {
        frames = inView && really(mark) ? frames + 1 : 0;
        if (frames >= o.frames) { stop(); shown(element, decision); } else frame = inView ? requestAnimationFrame(look) : 0;
      };
      const views = new IntersectionObserver(entries => {
        const last = entries[entries.length - 1];
        inView = last.isIntersecting && last.intersectionRatio >= o.ratio;
        frame = frame || requestAnimationFrame(look);
      }, { threshold: o.ratio });
      const back = new MutationObserver(() => { if (mark.parentNode !== element) element.prepend(mark); });
      const stop = () => { views.disconnect(); back.disconnect(); cancelAnimationFrame(frame); mark.remove(); watched.delete(element); };
      watched.set(element, stop);
      views.observe(mark);
      back.observe(element, { childList: true });
    }
    function really(mark) {
      return mark.isConnected && document.visibilityState === "visible" && !document.prerendering
        && (!mark.checkVisibility || mark.checkVisibility({ opacityProperty: true, visibilityProperty: true }));
    }
    function shown(element, decision) {
      const id = decision.assignment_id;
      const first = change(kept => {
        if (kept.shown.includes(id)) return false;
        kept.shown = [...kept.shown, id].slice(-SHOWN_MAX);
        return true;
      });
      if (!first) return;
      const now = performance.now(), event = envelope("experiment_exposure", {
        surface: decision.action.slot || decision.decision_point,
        rendered_ts: new Date().toISOString(),
        decision_to_render_ms: is(decision.at) ? Math.round((now - decision.at) * 1000) / 1000 : null,
        rendered_digest: digest(element.innerHTML),
      });
      event.experiment = { key: decision.policy, variant: decision.variant, assignment_id: id, rule_version: decision.rule_version };
      event.exposure_token = decision.exposure_token;
      enqueue(event);
    }

    // -- no flicker: slots wait unseen for their decision, and no longer than this
    function hide() {
      const style = document.createElement("style");
      style.textContent = `[${SLOT}]:not([${DONE}]){opacity:0!important}`;
      document.head.append(style);
      live.then(() => setTimeout(() => {
        style.remove();
        document.querySelectorAll(`[${SLOT}]:not([${DONE}])`).forEach(element => element.setAttribute(DONE, "late"));
      }, is(o.flickerMs) ? o.flickerMs : o.deadlineMs + 100));
    }

    if (!bot) {
      hide();
      addEventListener("online", () => { failures = 0; later(SOON_MS); });
      addEventListener("pageshow", event => { if (event.persisted) later(SOON_MS); });
      document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") beacon(); else later(SOON_MS); });
      addEventListener("pagehide", beacon); // never unload: it would keep the page out of the back/forward cache
      later(SOON_MS); // what an earlier page left
    }
    return {
      anonymousId, sessionId, decide, render,
      track(name, properties) { if (!bot) enqueue(envelope(name, properties)); },
      identify(id, traits, token) {
        user = id;
        o.userToken = token;
        handed = null;
        if (!bot) enqueue(envelope("identify", traits));
      },
      reset() {
        user = handed = o.userToken = null;
        change(kept => { delete kept.id; delete kept.session; setCookie(kept.id = uuid()); });
      },
    };
  };
})(globalThis);
