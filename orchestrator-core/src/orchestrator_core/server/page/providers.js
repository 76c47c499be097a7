// The providers as the page shows them everywhere: one colour and one word each.

import { get } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

const COLOURS = 8;
const known = [];

/** Read the providers. */
export async function read(signal) {
  const { providers } = await get("/api/providers", {}, signal);
  // Those that answer have the first colours, which are told apart best.
  for (const { name } of [...providers].sort((one, other) => other.configured - one.configured)) colour(name);
  return providers;
}

/** Return the class of a provider's colour: the same for as long as the page is open. */
export function colour(name) {
  if (!known.includes(name)) known.push(name);
  return `c${known.indexOf(name) % COLOURS}`;
}

export const dot = (name) => h(`i.dot.${colour(name)}`, { "aria-hidden": "true" });

const TONES = { healthy: "good", unhealthy: "bad", quarantined: "bad", not_configured: "idle" };

/** Return a badge that says how a provider is. */
export const badge = (state) => h(`span.badge.${TONES[state]}`, {}, t(`provider.${state}`));
