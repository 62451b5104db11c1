// Calling members while a comment is written: after an @ the page's own list of them is narrowed by what follows. The text box keeps the
// focus and names the option that Enter takes.
(() => {
  const SHOWN = 8;

  const box = (target) => (target instanceof Element ? target.closest("textarea[data-mentions]") : null);
  const list = (area) => document.getElementById(area.getAttribute("aria-controls"));
  const options = (area) => [...list(area).querySelectorAll("[data-mention]")];
  const shown = (area) => options(area).filter((one) => !one.hidden);
  const isOpen = (area) => list(area) && !list(area).hidden;
  const said = (area, text) => (area.form.querySelector("[data-mentions-said]").textContent = text);

  // What is being written after an @, up to the caret; null where it is no name.
  const written = (area) => {
    const found = /(?:^|[\s(])@(\S*)$/.exec(area.value.slice(0, area.selectionStart));
    return found ? found[1] : null;
  };

  const activate = (area, option) => {
    for (const one of options(area)) one.setAttribute("aria-selected", String(one === option));
    area.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  };

  const close = (area) => {
    if (!isOpen(area)) return;
    list(area).hidden = true;
    area.removeAttribute("aria-activedescendant");
    said(area, "");
  };

  const narrow = (area) => {
    const name = written(area)?.toLowerCase();
    const fits = name === undefined ? [] : options(area).filter((one) => one.textContent.toLowerCase().includes(name));
    if (fits.length === 0) return close(area);
    const first = fits.slice(0, SHOWN);
    for (const one of options(area)) one.hidden = !first.includes(one);
    list(area).hidden = false;
    activate(area, first[0]);
    said(area, `${fits.length === 1 ? "1 member" : `${fits.length} members`}: up and down to choose, Enter to take`);
  };

  const take = (area, option) => {
    const caret = area.selectionStart;
    area.setRangeText(`${option.dataset.mention} `, caret - written(area).length, caret, "end");
    close(area);
  };

  const step = (area, by) => {
    const found = shown(area);
    const here = found.findIndex((one) => one.id === area.getAttribute("aria-activedescendant"));
    activate(area, found[(here + by + found.length) % found.length]);
  };

  const active = (area) => document.getElementById(area.getAttribute("aria-activedescendant"));

  const KEYS = {
    ArrowDown: (area) => step(area, 1),
    ArrowUp: (area) => step(area, -1),
    Enter: (area) => take(area, active(area)),
    Tab: (area) => take(area, active(area)),
    Escape: close,
  };

  document.addEventListener("keydown", (event) => {
    const area = box(event.target);
    if (!area || !isOpen(area) || !KEYS[event.key] || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    KEYS[event.key](area);
  });
  document.addEventListener("input", (event) => box(event.target) && narrow(box(event.target)));
  document.addEventListener("focusout", (event) => box(event.target) && close(box(event.target)));
  // The focus stays in the text box.
  document.addEventListener("mousedown", (event) => {
    const option = event.target instanceof Element ? event.target.closest("[data-mention]") : null;
    if (!option) return;
    event.preventDefault();
    take(document.querySelector(`[aria-controls="${option.parentElement.id}"]`), option);
  });
})();
