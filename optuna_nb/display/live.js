// The live panel in the page. The kernel sends finished HTML, in which every name is escaped already;
// this file puts it in place of the static page, and tells the kernel what is clicked, opened and seen.
//
// The output of the cell holds the static page alone, so a saved notebook reads well anywhere. While its
// kernel lives, this model finds that page (by data-onb-panel) and covers it. Focus, scroll positions and
// what is being typed survive each repaint.

const PAGE = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
const GONE = new Set(["restarting", "autorestarting", "terminating", "dead"]); // states of a kernel
const CUT = "No connection to the kernel: this is what was last heard from it";
const BEAT_SECONDS = 20; // a page that is seen says so again; the kernel forgets one that was closed

function duration(seconds) {
  if (seconds === null || !isFinite(seconds)) return "–";
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

const keyOf = (element) => element.dataset?.onbKey ?? element.dataset?.onbSet;

// Replace the content of a region, and keep what the person was doing in it.
function repaint(region, html) {
  const active = region.contains(document.activeElement) ? document.activeElement : null;
  const held = active && { key: keyOf(active), value: active.value, at: active.selectionStart };
  const open = new Set([...region.querySelectorAll("details[open]")].map(keyOf));
  const scrolled = [...region.querySelectorAll("[data-onb-key]")]
    .filter((e) => e.scrollTop || e.scrollLeft)
    .map((e) => [keyOf(e), e.scrollLeft, e.scrollTop]);
  region.innerHTML = html;
  const find = (key) => [...region.querySelectorAll("[data-onb-key],[data-onb-set]")].find((e) => keyOf(e) === key);
  for (const details of region.querySelectorAll("details")) if (open.has(keyOf(details))) details.open = true;
  for (const [key, left, top] of scrolled) find(key)?.scrollTo(left, top);
  const again = held?.key && find(held.key);
  if (again) {
    if (again.tagName === "INPUT" && again.type === "search") again.value = held.value;
    again.focus({ preventScroll: true });
    if (held.at != null && again.setSelectionRange) again.setSelectionRange(held.at, held.at);
  }
}

class View {
  constructor(model, id) {
    this.model = model;
    this.root = document.createElement("div");
    this.root.className = "optuna-nb onb-live";
    this.root.innerHTML =
      `<div class="onb-card" role="group" aria-label="Study"><div class="onb-top"></div><div class="onb-controls"></div>` +
      `<div class="onb-said" role="status"></div><div class="onb-tabs" role="tablist" aria-label="Views of the study">` +
      `</div><div class="onb-body" role="tabpanel" id="${id}-body" tabindex="0"></div></div>`;
    const part = (name) => this.root.querySelector(`.${name}`);
    [this.top, this.controls, this.said, this.tabs, this.body] =
      ["onb-top", "onb-controls", "onb-said", "onb-tabs", "onb-body"].map(part);
    this.id = id;
    this.held = null; // the element that had the focus, as long as nothing else took it
    this.root.addEventListener("focusin", (event) => { this.held = event.target; });
    this.root.addEventListener("focusout", () => {
      setTimeout(() => { if (this.root.isConnected && !this.root.contains(document.activeElement)) this.held = null; });
    });
    this.root.addEventListener("click", (event) => this.click(event));
    this.root.addEventListener("change", (event) => this.set(event.target));
    this.root.addEventListener("input", (event) => {
      if (event.target.type !== "search") return;
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.set(event.target), 250);
    });
    this.tabs.addEventListener("keydown", (event) => this.arrow(event));
    // JupyterLab acts on single letters where a cell is selected: those typed here stay here, Ctrl+S and its like do not.
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" && !event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    });
    for (const name of ["head", "controls", "said", "tabs", "tab", "body"]) this[`paint_${name}`]();
  }

  mount(host) {
    this.host = host;
    host.classList.add("onb-covered");
    host.appendChild(this.root);
    if (this.held && document.activeElement === document.body) this.held.focus({ preventScroll: true });
    this.tick();
  }

  click(event) {
    const target = event.target.closest("[data-onb-do],button[data-onb-set]");
    if (!target || target.getAttribute("aria-disabled") === "true") return;
    if (target.dataset.onbDo) this.model.send({ do: target.dataset.onbDo, value: target.dataset.onbValue ?? null });
    else this.model.send({ do: "set", key: target.dataset.onbSet, value: target.value });
    const isTab = target.dataset.onbDo === "tab";
    if (isTab && target.dataset.onbValue !== this.model.get("tab")) this.body.setAttribute("aria-busy", "true");
    if (target.dataset.onbDo === "allow") Notification.requestPermission().then(() => this.paint_said());
  }

  set(target) {
    const key = target.dataset?.onbSet;
    if (!key || target.tagName === "BUTTON") return;
    clearTimeout(this.typing);
    this.model.send({ do: "set", key, value: target.type === "checkbox" ? target.checked : target.value });
  }

  arrow(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const tabs = [...this.tabs.children];
    let index = tabs.indexOf(document.activeElement);
    if (event.key === "Home") index = 0;
    else if (event.key === "End") index = tabs.length - 1;
    else if (step) index = (index + step + tabs.length) % tabs.length;
    else return;
    event.preventDefault();
    tabs[index].focus();
    tabs[index].click();
  }

  paint_head() {
    const head = this.model.get("head");
    this.root.style.setProperty("--onb-state", `var(--onb-${this.model.get("state")})`);
    if (head !== this.painted) repaint(this.top, head);
    this.painted = head;
    this.tick();
  }

  paint_controls() {
    const wanted = this.model.get("controls");
    while (this.controls.children.length < wanted.length) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "onb-button";
      this.controls.appendChild(button);
    }
    wanted.forEach(([verb, label, hint, off], index) => {
      const button = this.controls.children[index];
      if (button.textContent !== label) button.textContent = label;
      button.dataset.onbDo = verb;
      button.title = this.model.onbCut ? CUT : hint;
      button.setAttribute("aria-disabled", String(off || Boolean(this.model.onbCut))); // not `disabled`, which would drop the focus
    });
  }

  paint_said() {
    let html = (this.model.onbCut ? `<p class="onb-note onb-wrong">${CUT}</p>` : "") + this.model.get("said");
    const may = this.model.get("notify") && "Notification" in window && Notification.permission === "default";
    if (may) html += `<p class="onb-note"><button type="button" class="onb-button" data-onb-do="allow" data-onb-key="allow">Allow a notification when the study ends</button></p>`;
    repaint(this.said, html);
  }

  paint_tabs() {
    this.tabs.replaceChildren(...this.model.get("tabs").map(([key, label]) => {
      const tab = Object.assign(document.createElement("button"), { type: "button", className: "onb-tab", textContent: label });
      tab.id = `${this.id}-${key}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", `${this.id}-body`);
      Object.assign(tab.dataset, { onbDo: "tab", onbValue: key });
      return tab;
    }));
  }

  paint_tab() {
    const chosen = this.model.get("tab");
    for (const tab of this.tabs.children) {
      const on = tab.dataset.onbValue === chosen;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      if (on) this.body.setAttribute("aria-labelledby", tab.id);
    }
  }

  paint_body() {
    repaint(this.body, this.model.get("body"));
    this.body.removeAttribute("aria-busy");
  }

  tick() {
    if (this.model.onbCut) return;
    const clock = this.model.get("clock");
    const since = clock.running ? (Date.now() - this.model.onbPainted) / 1000 : 0;
    for (const element of this.root.querySelectorAll("[data-onb-clock]")) {
      const at = clock[element.dataset.onbClock];
      const step = element.dataset.onbClock === "eta" ? -since : since;
      element.textContent = duration(at == null ? null : Math.max(at + step, 0));
    }
  }
}

class Live {
  constructor(model) {
    this.model = model;
    model.onbPainted = Date.now();
    this.views = new Map(); // host element -> view
    this.id = model.get("panel");
    this.seen = null;
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) entry.target.onbSeen = entry.isIntersecting;
      this.look();
    });
    this.mutations = new MutationObserver(() => this.scan());
    this.mutations.observe(document.body, { childList: true, subtree: true });
    this.looking = () => this.look();
    document.addEventListener("visibilitychange", this.looking);
    window.addEventListener("pagehide", this.looking);
    model.on("change:clock", () => { model.onbPainted = Date.now(); });
    const each = (name) => () => { for (const view of this.views.values()) view[`paint_${name}`](); };
    for (const name of ["head", "controls", "said", "tab", "body"]) model.on(`change:${name}`, each(name));
    model.on("change:state", each("head"));
    model.on("change:notify", each("said"));
    model.on("change:clock", each("head"));
    model.on("change:notice", () => this.notify());
    model.on("msg:custom", (message) => this.receive(message));
    // When the kernel dies or is restarted, the static page says what is known.
    this.status = (_, status) => { if (GONE.has(status)) this.close(); };
    this.over = () => this.close();
    this.wired = (_, status) => this.cut(status !== "connected");
    this.kernel = model.widget_manager?.kernel;
    this.kernel?.statusChanged?.connect(this.status);
    this.kernel?.disposed?.connect(this.over);
    this.kernel?.connectionStatusChanged?.connect(this.wired);
    this.ticking = setInterval(() => { if (this.seen) for (const view of this.views.values()) view.tick(); }, 1000);
    this.beating = setInterval(() => { if (this.seen) this.tell(); }, BEAT_SECONDS * 1000);
    this.scan();
  }

  scan() {
    for (const host of document.querySelectorAll(`[data-onb-panel="${this.id}"]`)) {
      const known = this.views.get(host);
      if (known) {
        if (known.root.parentNode !== host) known.mount(host);
        continue;
      }
      // JupyterLab made the output anew: move the view there, with its focus.
      const [old, view] = [...this.views].find(([other]) => !other.isConnected) ?? [];
      if (old) { this.views.delete(old); this.observer.unobserve(old); }
      this.mount(view ?? new View(this.model, `onb-${this.id}-${this.views.size}`), host);
    }
  }

  mount(view, host) {
    this.views.set(host, view);
    view.mount(host);
    this.observer.observe(host);
  }

  look() {
    const inView = [...this.views.keys()].some((host) => host.isConnected && host.onbSeen);
    const seen = document.visibilityState === "visible" && inView;
    if (seen !== this.seen) { this.seen = seen; this.tell(); }
  }

  tell() {
    try {
      this.model.send({ do: "seen", page: PAGE, value: this.seen });
    } catch {
      this.close(); // no channel to the kernel any more: it is gone, and this page with it
    }
  }

  // Without a connection the clock stands still and no button promises anything.
  cut(isCut) {
    this.model.onbCut = isCut;
    for (const view of this.views.values()) { view.paint_controls(); view.paint_said(); view.tick(); }
  }

  receive(message) {
    if (message.csv === undefined) return;
    const url = URL.createObjectURL(new Blob([message.csv], { type: "text/csv" }));
    Object.assign(document.createElement("a"), { href: url, download: message.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  notify() {
    const { title, text, tag } = this.model.get("notice");
    if (title && "Notification" in window && Notification.permission === "granted") new Notification(title, { body: text, tag });
  }

  close() {
    this.kernel?.statusChanged?.disconnect(this.status);
    this.kernel?.disposed?.disconnect(this.over);
    this.kernel?.connectionStatusChanged?.disconnect(this.wired);
    this.mutations.disconnect();
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.looking);
    window.removeEventListener("pagehide", this.looking);
    clearInterval(this.ticking);
    clearInterval(this.beating);
    for (const [host, view] of this.views) { view.root.remove(); host.classList.remove("onb-covered"); }
    this.views.clear();
  }
}

const LIVE = new WeakMap();

export default {
  initialize({ model }) {
    const live = new Live(model);
    LIVE.set(model, live);
    return () => live.close();
  },
  // For front ends that run a model only where it is displayed.
  render({ model, el }) {
    const live = LIVE.get(model) ?? new Live(model);
    const host = document.createElement("div");
    el.appendChild(host);
    live.mount(new View(model, `onb-${live.id}-view`), host);
  },
};
