// What is better with a script, and works without: live figures, exact times in the viewer's zone, selecting, keys.
"use strict";
(() => {
  const main = () => document.getElementById("main");
  const live = document.getElementById("live");
  const nav = document.getElementById("nav");

  // --- times ------------------------------------------------------------------------------------------------
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const times = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.valueOf())) time.title = exact.format(at);
    }
  };

  // --- the viewer's zone in forms ---------------------------------------------------------------------------
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = (root) => {
    for (const said of root.querySelectorAll(".zone")) said.textContent = zone;
  };
  document.addEventListener("submit", (event) => {
    for (const field of event.target.querySelectorAll('input[type="datetime-local"]')) {
      const at = new Date(field.value);
      event.target.elements.zone.value = Number.isNaN(at.valueOf()) ? "" : String(-at.getTimezoneOffset());
    }
  });

  // --- selecting --------------------------------------------------------------------------------------------
  const boxes = () => [...document.querySelectorAll('.pick tbody input[type="checkbox"]')];
  const chosen = () => {
    const all = boxes(), n = all.filter((box) => box.checked).length;
    for (const head of document.querySelectorAll(".pick .all")) {
      head.checked = n > 0 && n === all.length;
      head.indeterminate = n > 0 && n < all.length;
    }
    for (const said of document.querySelectorAll(".chosen")) said.textContent = n ? `${n} selected` : "Select to act";
  };
  let last = null;
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
    const all = boxes();
    if (box.classList.contains("all")) for (const one of all) one.checked = box.checked;
    else if (event.shiftKey && last && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const one of all.slice(from, to + 1)) one.checked = box.checked;
    }
    if (!box.classList.contains("all")) last = box;
    chosen();
  });

  // --- live -------------------------------------------------------------------------------------------------
  const busy = () =>
    document.hidden ||
    boxes().some((box) => box.checked) ||
    document.querySelector("main details[open]") ||
    (document.activeElement && document.activeElement.matches("main input, main textarea"));

  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const there = fresh.getElementById("main");
    if (!there) throw new Error("no page of ours");
    times(there);
    zones(there);
    document.title = fresh.title;
    Idiomorph.morph(main(), there, { ignoreActiveValue: true });
    const links = fresh.getElementById("nav");
    if (links) Idiomorph.morph(nav, links);
    chosen();
    go();
  };

  const load = async (address, options) => {
    const answer = await fetch(address, { credentials: "same-origin", ...options });
    if (answer.redirected && new URL(answer.url).pathname !== new URL(address, location).pathname) {
      location.assign(answer.url);
      return;
    }
    if (options.goes && answer.status >= 500) throw new Error("not now");
    show(await answer.text());
  };

  const say = (works) => {
    live.classList.toggle("off", !works);
    live.lastElementChild.textContent = works ? "live" : "no answer";
    live.hidden = works && !main().dataset.live;
  };

  let waiting = 0;
  const tick = async () => {
    const every = Number(main().dataset.live);
    if (every && !busy()) {
      try {
        const here = new URL(location);
        for (const name of ["did", "n", "of"]) here.searchParams.delete(name);
        await load(here, {});
        say(true);
      } catch {
        say(false);
      }
    }
    waiting = setTimeout(tick, (every || 5) * 1000);
  };

  // --- what goes on by itself: searches, and actions on many ------------------------------------------------
  let stopped = false;
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-stop]")) stopped = true;
  });
  const go = (pause = 50) => {
    const form = document.querySelector("form[data-auto]");
    const link = document.querySelector("a[data-going]");
    if (stopped || (!form && !link)) return;
    const next = form
      ? () => load(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), goes: true })
      : () => load(link.href, { goes: true });
    setTimeout(() => {
      if (!stopped) next().then(() => say(true), () => { say(false); go(2000); });
    }, pause);
  };

  // --- keys -------------------------------------------------------------------------------------------------
  const leads = (key) => /^[a-z]$/.test(key) && nav.querySelector(`a[data-key="${key}"]`);
  const base = document.querySelector(".brand").getAttribute("href").replace(/\/$/, "");
  let before = "";
  const step = (by) => {
    const links = [...document.querySelectorAll("main tbody th a")];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at + by))].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    const key = event.key, was = before;
    before = key === "g" ? "g" : "";
    if (was === "g" && leads(key)) location.assign(leads(key).href);
    else if (key === "?") location.assign(`${base}/about#k`);
    else if (key === "/") {
      event.preventDefault();
      const q = document.getElementById("q");
      if (q) q.focus();
      else location.assign(`${base}/search`);
    }
    else if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "x") {
      const box = document.activeElement && document.activeElement.closest("tr")?.querySelector('input[type="checkbox"]');
      if (box) box.click();
    }
  });

  times(document);
  zones(document);
  chosen();
  go();
  waiting = setTimeout(tick, (Number(main().dataset.live) || 5) * 1000);
  live.hidden = !main().dataset.live;
  addEventListener("pagehide", () => clearTimeout(waiting));
  document.documentElement.dataset.ready = "";
})();
