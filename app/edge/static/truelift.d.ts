/** Types of truelift.js, which puts `Truelift` on the global object: no build step, no dependency. */

export interface Options {
  /** Where `truelift edge` is reached: "https://edge.example.com". */
  edge: string;
  /** A public write key: `truelift writekeys new`. */
  key: string;
  /** Once the visitor is known; before that the anonymous id stands for it. */
  userId?: string;
  /** That visitor's token, from your server (POST /v1/user_tokens): where the key gives a user's decisions to nobody else. */
  userToken?: string;
  /** How long decide() waits, in ms; then its fallback is shown. Default 300. */
  deadlineMs?: number;
  /** How long a slot may wait unseen, in ms; then its default is shown and stays. Default deadlineMs + 100. */
  flickerMs?: number;
  /** The share of the mark at a slot's top that has to be in view. Default 0.5. */
  ratio?: number;
  /** For how many frames. Default 1. */
  frames?: number;
  /** The height of that mark in px, and the least height of a slot: the same in every arm. Default 1. */
  heightPx?: number;
  /** Treats a browser under automation as a person: for tests of a site, never for its visitors. Default false. */
  automation?: boolean;
  /** Hears what the SDK could not do. Default: console.warn. */
  onError?: (problem: unknown) => void;
}

export interface Action {
  kind: string;
  slot?: string;
  component?: string;
  payload?: Record<string, unknown>;
}

/** As the edge answers; what has no exposure_token is not acknowledged. */
export interface Decision {
  decision_point: string;
  /** "" where there is none: the fallback is shown. */
  decision_id: string | null;
  action: Action;
  served?: "variant" | "fallback";
  policy?: string;
  variant?: string | null;
  rule_version?: number | null;
  assignment_id?: string | null;
  exposure_token?: string | null;
  /** When the page had it, on the clock of performance.now(). */
  at?: number;
}

export interface Decisions {
  /** All that the edge said; empty when it did not answer in time. */
  decisions: readonly Record<string, unknown>[];
  /** The decision for one point, else the fallback; without one an empty slot. */
  at(point: string, fallback?: Action): Decision;
}

/** What a server that renders puts into <script type="application/json" id="truelift-state">. */
export interface State {
  /** The event that was decided on; the page's first decide() of it takes these decisions and asks nobody. */
  event_name: string;
  /** For whom: a state that was made for somebody else is not used. */
  anonymous_id: string;
  user_id: string | null;
  decisions: readonly Record<string, unknown>[];
}

export interface Client {
  /** Sends a signal and waits for what was decided on it. Never rejects. */
  decide(eventName: string, properties?: object, options?: { deadlineMs?: number }): Promise<Decisions>;
  /**
   * Fills a slot, the control's as well, and acknowledges it once it is really seen. `fill` draws the action into the empty slot;
   * it is not called where the server has drawn this decision. False: it was too late, or `fill` failed, and nothing is acknowledged.
   */
  render(decision: Decision, slot: HTMLElement, fill: (slot: HTMLElement, action: Action) => void): boolean;
  /** Queues an event. It is sent until the edge has it, by later pages too. */
  track(eventName: string, properties?: object): void;
  /** From now on the visitor is this user; what was shown before is linked. */
  identify(userId: string, traits?: object, userToken?: string): void;
  /** The visitor has logged out: nobody that was known. */
  reset(): void;
  anonymousId(): string;
  sessionId(): string;
}

declare global {
  function Truelift(options: Options): Client;
}
