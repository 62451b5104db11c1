// What the browser can do without asking the server: dialogs with a focus trap, menus that close, copying, the narrow navigation,
// and a focus that is never lost when what had it goes.
(() => {
  const opened = new Map();

  const openDialog = (dialog) => {
    if (dialog.open || opened.has(dialog)) return;
    opened.set(dialog, document.activeElement);
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      dialog.querySelector("[data-close]")?.click();
    });
    dialog.showModal();
    dialog.querySelector("[data-autofocus]")?.focus();
  };

  const forgetDialogs = () => {
    for (const [dialog, before] of opened) {
      if (dialog.isConnected) continue;
      opened.delete(dialog);
      if (before?.isConnected) before.focus();
    }
  };

  // Where the keyboard is, and what stands next to it: a row that goes gives the focus to its neighbour, as a list would. One that shows
  // another record than before does not keep it: no key is to reach what nobody has looked at.
  const FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), select, textarea, summary, [tabindex='0']";
  let held = null;

  const hold = (element) => {
    const row = element.closest("tbody > tr, main li");
    const near = row ? [row, row.nextElementSibling, row.previousElementSibling].filter(Boolean) : [];
    held = { element, near: near.map((one) => ({ row: one, record: one.dataset.record })) };
  };

  const nobodyHasFocus = () => document.activeElement === null || document.activeElement === document.body;

  const focusTitle = () => document.getElementById("page-title")?.focus({ preventScroll: true });

  const isWhatItWas = ({ row, record }) => row.isConnected && row.dataset.record === record;

  // Whether nothing is to be done: it is there and in its own row, or somebody has gone on.
  const isUndisturbed = ({ element, near }) =>
    element.isConnected ? document.activeElement !== element || near.slice(0, 1).every(isWhatItWas) : !nobodyHasFocus();

  const keepFocus = () => {
    if (held === null || isUndisturbed(held)) return;
    const row = held.near.find(isWhatItWas)?.row;
    const next = row?.matches("[tabindex]") ? row : row?.querySelector(FOCUSABLE);
    held = null;
    if (next) next.focus();
    else focusTitle();
  };

  // Another page begins at its title, for eyes and ears alike, until somebody does something there.
  let shown = location.pathname;
  let arriving = false;

  const arrive = () => {
    if (location.pathname !== shown) {
      shown = awaited = location.pathname;
      arriving = true;
    }
    veil();
    const within = document.getElementById("content")?.contains(document.activeElement) ?? false;
    if (arriving && !within && !document.querySelector("dialog[open]")) focusTitle();
  };

  // Nor does it show anything of the page before it: what is there belongs to this address once the server says so.
  const bare = (path) => path.replace(/\/+$/, "");
  let awaited = "";

  const veil = () => {
    const at = document.querySelector(".shell")?.dataset.at ?? "";
    if (bare(at) === bare(location.pathname)) awaited = "";
    document.documentElement.classList.toggle("arriving", awaited !== "");
  };

  // A page about one thing is called by it, among the browser's tabs too.
  const nameDocument = () => {
    const thing = document.querySelector("h1.own")?.textContent;
    const title = document.querySelector("[data-page-title]")?.textContent || (thing && `${thing} · Cyphera Sync`);
    if (title && awaited === "" && document.title !== title) document.title = title;
  };

  // Of more tabs than there is room for, the one that is chosen is in sight, and the one that the keyboard is on.
  let chosenTab = "";

  const bringIntoSight = (tab) => {
    const [box, frame] = [tab, tab.closest(".tabs")].map((one) => one.getBoundingClientRect());
    tab.closest(".tabs").scrollLeft += Math.min(0, box.left - frame.left) + Math.max(0, box.right - frame.right);
  };

  const showChosenTab = () => {
    const tab = document.querySelector('.tabs > [aria-current="page"]');
    if (!tab || tab.href === chosenTab) return;
    chosenTab = tab.href;
    bringIntoSight(tab);
  };

  const settle = () => (arriving = false);
  document.addEventListener("pointerdown", settle, true);
  document.addEventListener("keydown", settle, true);
  document.addEventListener("focusin", (event) => {
    hold(event.target);
    if (event.target.matches(".tabs > *")) bringIntoSight(event.target);
  });

  new MutationObserver(() => {
    document.querySelectorAll("dialog[data-modal]").forEach(openDialog);
    forgetDialogs();
    arrive();
    nameDocument();
    showChosenTab();
    keepFocus();
  }).observe(document.documentElement, {
    childList: true,
    subtree: true,
    characterData: true,
    attributeFilter: ["data-at", "data-record"],
  });

  // A document that is left takes its state with it: the next one would be told all that any page ever showed here, and ask again anyway.
  addEventListener("pagehide", () => sessionStorage.removeItem("token"));

  const setNavigation = (open) => {
    document.documentElement.classList.toggle("nav-open", open);
    document.querySelectorAll("[data-nav-toggle]").forEach((one) => one.setAttribute("aria-expanded", String(open)));
  };

  const closeMenus = (except) => {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (menu !== except) menu.open = false;
    });
  };

  const copy = async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      return;
    }
    button.dataset.copied = "";
    const label = button.getAttribute("aria-label");
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      delete button.dataset.copied;
      button.setAttribute("aria-label", label);
    }, 1500);
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    // What is hidden was clicked by no person: a menu stays open.
    if (!target || target.hidden) return;
    if (target.closest(".skip-link")) {
      event.preventDefault();
      document.getElementById("content")?.focus();
    }
    const toggle = target.closest("[data-nav-toggle]");
    if (toggle) setNavigation(!document.documentElement.classList.contains("nav-open"));
    else if (target.closest(".rail a, .nav-veil")) setNavigation(false);
    closeMenus(target.closest("details.menu"));
    if (target.closest("[data-reload]")) location.reload();
    const copying = target.closest("[data-copy]");
    if (copying) copy(copying);
  });

  // A list that changes by itself is asked for anew while somebody looks at it, and at once when they come back. Whoever has gone to another
  // tab, or has touched nothing for ten minutes, does not; nor is their session kept alive.
  const RENEW_MS = 3_000;
  const AWAY_MS = 600_000;
  let touched = Date.now();
  const renew = () => {
    if (document.visibilityState === "visible" && Date.now() - touched < AWAY_MS) document.querySelector("[data-renew]")?.click();
  };
  ["keydown", "pointerdown", "pointermove", "wheel"].forEach((kind) =>
    document.addEventListener(
      kind,
      () => {
        const away = Date.now() - touched >= AWAY_MS;
        touched = Date.now();
        if (away) renew();
      },
      { passive: true, capture: true },
    ),
  );
  document.addEventListener("visibilitychange", renew);
  setInterval(renew, RENEW_MS);

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (document.documentElement.classList.contains("nav-open")) {
      setNavigation(false);
      document.querySelector("[data-nav-toggle]")?.focus();
    }
  });
})();
