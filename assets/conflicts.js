// Keys of conflict review: every one clicks or focuses something that is on the screen. Single keys can be switched off (WCAG 2.1.4);
// the page says whether they are, for the person who is signed in.
(() => {
  const NARROW = window.matchMedia("(max-width: 1023px)");
  const PLACES = { c: "/conflicts", r: "/syncs", s: "/schedules" };
  const PAGES = { "[": "Previous", "]": "Next" };
  const BEAT_MS = 10_000;
  const AWAY_MS = 600_000;
  let going = false;
  let picked = "";
  let acted = Date.now();

  const on = () => document.querySelector("[data-keys-off]") === null;

  const typing = (target) => target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;

  // A toast whose time is over stands there unseen.
  const visible = (element) =>
    element.getClientRects().length > 0 && !element.disabled && getComputedStyle(element).visibility !== "hidden";

  const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);

  const rows = () => {
    const fields = document.activeElement?.closest(".inline-conflict")?.querySelectorAll('[data-row=""]');
    return fields ? [...fields].filter(visible) : all('[data-row=""]').filter((row) => !row.closest(".inline-conflict"));
  };

  const record = () => document.activeElement?.closest("[data-record]");

  const move = (step) => {
    const found = rows();
    const here = found.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
    const near = here < 0 ? found.findIndex((row) => row.closest("[data-record]") === record() && record()) : here;
    found[Math.min(Math.max(near + step, 0), found.length - 1)]?.focus();
    return true;
  };

  const moveField = (step) => document.activeElement?.closest(".conflict-field") !== null && move(step);

  const click = (selector) => {
    const found = all(selector)[0];
    if (found?.matches("input, textarea, select")) {
      found.focus();
      if (found.matches("input")) found.select();
      found.scrollIntoView({ block: "nearest" });
    } else found?.click();
    return found !== undefined;
  };

  const inRecord = (selector) => {
    const found = record()?.querySelector(selector);
    found?.click();
    return Boolean(found);
  };

  const pickUpTo = () => {
    const boxes = all("[data-pick]");
    const to = boxes.indexOf(record()?.querySelector("[data-pick]"));
    if (to < 0) return false;
    const from = Math.max(boxes.findIndex((box) => box.closest("[data-record]").dataset.record === picked), 0);
    for (const box of boxes.slice(Math.min(from, to), Math.max(from, to) + 1)) if (!box.checked) box.click();
    return true;
  };

  const pick = () => {
    picked = record()?.dataset.record ?? picked;
    return inRecord("[data-pick]");
  };

  const take = (key) => {
    const field = document.activeElement?.closest(".conflict-field") ?? all(".conflict-field")[0];
    const button = field?.querySelector(`[data-take="${key}"]`);
    if (!button || button.disabled) return false;
    button.click();
    if (key !== "4") field.focus();
    return true;
  };

  const toggle = (selector) => {
    const details = document.querySelector(selector);
    if (!details) return false;
    details.open = !details.open;
    if (details.open) details.scrollIntoView({ block: "nearest" });
    return true;
  };

  const focusFilters = () => {
    const drawer = document.querySelector(".facet-drawer");
    if (!drawer) return false;
    drawer.open = true;
    drawer.querySelector(".facets a")?.focus();
    return true;
  };

  const turnPage = (key) => {
    const link = all('nav[aria-label="Pages"] a').find((one) => one.textContent.trim() === PAGES[key]);
    link?.click();
    return link !== undefined;
  };

  const go = (key) => {
    going = false;
    const link = PLACES[key] && all(`nav a[href="${PLACES[key]}"]`)[0];
    link?.click();
    return Boolean(link);
  };

  const ACTIONS = {
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => moveField(1),
    ArrowUp: () => moveField(-1),
    o: () => inRecord("[data-fold]"),
    v: () => inRecord("[data-review]") || click(".page-head [data-review]"),
    x: pick,
    X: pickUpTo,
    e: () => toggle("[data-equal]"),
    f: focusFilters,
    "?": () => toggle("#keys"),
    g: () => (going = true),
  };

  const act = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return click('[data-hotkey="Control+Enter"]');
    if (event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return false;
    // Nobody else's decision is taken back by habit.
    if (event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) return click("[data-own]");
    if (event.ctrlKey || event.metaKey || !on()) return false;
    // Shift and a digit, whatever character the keyboard makes of it.
    const digit = event.shiftKey && /^Digit[123]$/.test(event.code) ? "!@#"[Number(event.code[5]) - 1] : "";
    const key = digit || event.key;
    if (going) return go(key);
    if (ACTIONS[key]) return ACTIONS[key]();
    if (/^[1-4]$/.test(key)) return take(key);
    if (!/^[ahcru/[\]!@#]$/.test(key)) return false;
    return click(`[data-hotkey="${CSS.escape(key)}"]`) || (PAGES[key] !== undefined && turnPage(key));
  };

  const foldFilters = () => {
    document.querySelectorAll(".facet-drawer:not([data-folded])").forEach((drawer) => {
      drawer.dataset.folded = "";
      drawer.open = !NARROW.matches;
    });
  };

  const showOvertaken = () => {
    document.querySelectorAll("[data-overtaken]:not([data-seen])").forEach((told) => {
      told.dataset.seen = "";
      told.focus({ preventScroll: true });
      told.scrollIntoView({ block: "center" });
    });
  };

  document.addEventListener("keydown", (event) => {
    if (event.target instanceof Element && act(event)) event.preventDefault();
  });

  // A click beside the name: few fields are decided in the row, more on a page of their own. Text that was marked is no click.
  document.addEventListener("click", (event) => {
    const row = event.target instanceof Element && event.target.closest("[data-record]");
    if (!row || event.target.closest("a, button, input, label, select") || String(getSelection())) return;
    row.querySelector(row.dataset.few === "" ? "[data-fold]" : "[data-row]")?.click();
  });

  // Whoever has gone to another tab, or has touched nothing for ten minutes, does not look at the conflict; nor is their session kept alive.
  const beat = () => {
    if (document.visibilityState === "visible" && Date.now() - acted < AWAY_MS) document.querySelector("[data-beat]")?.click();
  };
  ["keydown", "pointerdown", "pointermove", "wheel"].forEach((kind) =>
    document.addEventListener(kind, () => (acted = Date.now()), { passive: true, capture: true }),
  );
  document.addEventListener("visibilitychange", beat);
  setInterval(beat, BEAT_MS);

  NARROW.addEventListener("change", () => {
    document.querySelectorAll(".facet-drawer").forEach((drawer) => (drawer.open = !NARROW.matches));
  });
  new MutationObserver(() => {
    foldFilters();
    showOvertaken();
  }).observe(document.documentElement, { childList: true, subtree: true });
  foldFilters();
})();
