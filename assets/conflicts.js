// Keys of conflict review: every one clicks or focuses something that is on the screen. Single keys can be switched off (WCAG 2.1.4).
(() => {
  const STORED = "cyphera-single-keys";
  const NARROW = window.matchMedia("(max-width: 1023px)");
  const on = () => localStorage.getItem(STORED) !== "off";

  const typing = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;

  const visible = (element) => element.getClientRects().length > 0 && !element.disabled;

  const rows = () => [...document.querySelectorAll('[data-row=""]')].filter(visible);

  const move = (step) => {
    const all = rows();
    const here = all.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
    all[Math.min(Math.max(here + step, 0), all.length - 1)]?.focus();
  };

  const click = (selector) => {
    const found = [...document.querySelectorAll(selector)].find(visible);
    if (found?.matches("input")) found.select();
    else found?.click();
    return found !== undefined;
  };

  const take = (key) => {
    const field = document.activeElement?.closest(".conflict-field") ?? rows()[0];
    const button = field?.querySelector(`[data-take="${key}"]`);
    if (!button || button.disabled) return false;
    button.click();
    if (key !== "4") field.focus();
    return true;
  };

  const toggleDetails = (selector) => {
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

  const act = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return click('[data-hotkey="Control+Enter"]');
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || !on()) return false;
    if (document.querySelector("dialog[open]")) return false;
    // Shift and a digit, whatever character the keyboard makes of it.
    const digit = event.shiftKey && /^Digit[123]$/.test(event.code) ? "!@#"[Number(event.code[5]) - 1] : "";
    const key = digit || event.key;
    if (key === "j") return move(1), true;
    if (key === "k") return move(-1), true;
    if (/^[1-4]$/.test(key)) return take(key);
    if (key === "f") return focusFilters();
    if (key === "?") return toggleDetails("#keys");
    return /^[u/[\]!@#]$/.test(key) && click(`[data-hotkey="${CSS.escape(key)}"]`);
  };

  const showSwitch = () => {
    document.querySelectorAll("[data-keys-toggle]").forEach((button) => {
      const words = on() ? "Single keys are on" : "Single keys are off";
      if (button.textContent === words) return;
      button.textContent = words;
      button.setAttribute("aria-pressed", String(on()));
    });
  };

  const foldFilters = () => {
    document.querySelectorAll(".facet-drawer:not([data-folded])").forEach((drawer) => {
      drawer.dataset.folded = "";
      drawer.open = !NARROW.matches;
    });
  };

  document.addEventListener("keydown", (event) => {
    if (event.target instanceof Element && act(event)) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-keys-toggle]")) return;
    localStorage.setItem(STORED, on() ? "off" : "on");
    showSwitch();
  });

  NARROW.addEventListener("change", () => {
    document.querySelectorAll(".facet-drawer").forEach((drawer) => (drawer.open = !NARROW.matches));
  });
  new MutationObserver(() => {
    showSwitch();
    foldFilters();
  }).observe(document.documentElement, { childList: true, subtree: true });
  showSwitch();
  foldFilters();
})();
