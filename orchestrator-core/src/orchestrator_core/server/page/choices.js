// Runs before anything is drawn, so that nothing changes its colours or its language afterwards.
"use strict";
{
  const root = document.documentElement;
  const kept = (name) => {
    try {
      return localStorage.getItem(`orchestrator.${name}`);
    } catch {
      return null;
    }
  };
  const theme = kept("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = kept("language") ?? navigator.languages.find((tag) => /^(en|fr)\b/i.test(tag)) ?? "en";
  root.lang = /^fr/i.test(language) ? "fr" : "en";
}
