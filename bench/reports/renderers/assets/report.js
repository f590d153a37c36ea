"use strict";
// Sorting, tooltips, the device filter and the drill-down. Everything here is an addition: tables and charts stand without it.
// Text from the run reaches the page by textContent only.
(() => {
  const MINUS = "-";
  const PAGE = 60;

  /** An element with properties, and children that are nodes or plain text. */
  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in node && name !== "list") node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  // --- sortable tables -----------------------------------------------------------------------------------------------

  function key(row, column) {
    const cell = row.children[column];
    return cell && cell.hasAttribute("data-sort") ? cell.getAttribute("data-sort") : null;
  }

  function sort(table, column, textual, ascending) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, i) => [key(row, column), i, row]);
    rows.sort(([a, i], [b, j]) => {
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      const order = textual ? a.localeCompare(b, undefined, { numeric: true }) : Number(a) - Number(b);
      return (ascending ? order : -order) || i - j;
    });
    body.append(...rows.map(([, , row]) => row));
  }

  function makeSortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const textual = head.dataset.kind === "text";
      const button = make("button", { type: "button" }, ...[...head.childNodes].filter((node) => node.className !== "below"));
      head.prepend(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const ascending = now ? now === "descending" : textual || head.dataset.better === "lower";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sort(table, column, textual, ascending);
      });
    });
  }

  // --- tooltips ------------------------------------------------------------------------------------------------------

  function setUpTips() {
    const tip = document.getElementById("tip");
    const hide = () => { tip.hidden = true; };
    const show = (event) => {
      const point = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
      if (!point) return hide();
      tip.textContent = point.dataset.tip;
      tip.hidden = false;
      const mark = point.querySelector(".target, .median, .dots") || point;
      const box = mark.getBoundingClientRect();
      const left = Math.max(8, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, document.documentElement.clientWidth - tip.offsetWidth - 8));
      const above = box.top - tip.offsetHeight - 8;
      tip.style.left = `${left + window.scrollX}px`;
      tip.style.top = `${(above > 48 ? above : box.bottom + 8) + window.scrollY}px`;
      return undefined;
    };
    document.addEventListener("pointerover", show);
    document.addEventListener("focusin", show);
    document.addEventListener("focusout", hide);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  }

  // --- device filter -------------------------------------------------------------------------------------------------

  function makeFilter(figure) {
    const devices = JSON.parse(figure.dataset.devices);
    if (devices.length < 2) return;
    const boxes = devices.map((device) => make("input", { type: "checkbox", checked: true, value: device }));
    const apply = () => {
      const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      figure.querySelectorAll("[data-where]").forEach((node) => node.toggleAttribute("hidden", !shown.has(node.dataset.where)));
    };
    boxes.forEach((box) => box.addEventListener("change", apply));
    const labels = boxes.map((box) => make("label", {}, box, box.value));
    figure.querySelector(".chart").before(make("fieldset", { className: "filter" }, make("legend", {}, "device"), ...labels));
  }

  // --- drill-down ----------------------------------------------------------------------------------------------------

  function signed(value) {
    const words = Math.abs(value).toFixed(4);
    return value > 0 ? `+${words}` : value < 0 ? `${MINUS}${words}` : "0";
  }

  function arrow(value) {
    return value > 0 ? "▲ " : value < 0 ? "▼ " : "";
  }

  function tone(value) {
    return value > 0 ? "gain" : value < 0 ? "loss" : "same";
  }

  class DrillDown {
    constructor(root, data) {
      this.data = data;
      this.limit = PAGE;
      this.side = "reranked";
      this.groupBox = this.select("collection", data.groups.map((group) => group.label), () => this.chooseGroup());
      this.rerankerBox = this.select("reranker", [], () => this.refresh());
      this.orderBox = this.select("order", ["biggest win first", "biggest loss first", "biggest change first", "as in the collection"], () => this.refresh());
      this.search = make("input", { type: "search", placeholder: "words or id" , autocomplete: "off" });
      this.search.addEventListener("input", () => this.refresh());
      const labels = [["reranker", this.rerankerBox], ["order", this.orderBox], ["search queries", this.search]];
      if (data.groups.length > 1) labels.unshift(["collection", this.groupBox]);
      this.status = make("p", { className: "status", role: "status" });
      this.picker = make("div", { className: "picker", role: "group", "aria-label": "queries" });
      this.picker.addEventListener("keydown", (event) => this.move(event));
      this.detail = make("div", { className: "detail", "aria-live": "polite" });
      root.append(
        make("div", { className: "controls" }, ...labels.map(([name, box]) => make("label", {}, name, box))),
        this.status,
        make("div", { className: "split" }, this.picker, this.detail),
        make("p", { className: "status cut" }, data.texts ? `Texts are cut to ${data.cut} characters.` : "This run keeps no texts: queries and documents are shown by their ids."),
      );
      root.hidden = false;
      this.chooseGroup();
    }

    select(name, options, onChange) {
      const box = make("select", {}, ...options.map((text, i) => make("option", { value: String(i) }, text)));
      box.addEventListener("change", onChange);
      return box;
    }

    get reranker() { return this.group.rerankers[Number(this.rerankerBox.value)]; }

    chooseGroup() {
      this.group = this.data.groups[Number(this.groupBox.value)];
      const name = (one) => (one.device === null ? one.name : `${one.name} (${one.device})`);
      const options = this.group.rerankers.map((one, i) => make("option", { value: String(i) }, name(one)));
      this.rerankerBox.replaceChildren(...options);
      const best = this.group.rerankers.findIndex((one) => one.best);
      this.rerankerBox.value = String(Math.max(0, best));
      this.refresh();
    }

    change(i) {
      return Math.round((this.reranker.results[i][0] - this.group.first[i][0]) * 1e4) / 1e4;
    }

    /** Numbers of the queries that match the search, in the order chosen. */
    found() {
      const words = this.search.value.trim().toLowerCase();
      const all = this.group.queries.map((_, i) => i);
      const matching = words ? all.filter((i) => this.group.queries[i].some((text) => text.toLowerCase().includes(words))) : all;
      const by = [(i) => -this.change(i), (i) => this.change(i), (i) => -Math.abs(this.change(i)), () => 0][Number(this.orderBox.value)];
      return matching.sort((a, b) => by(a) - by(b) || a - b);
    }

    refresh() {
      this.limit = PAGE;
      this.list();
      this.show(this.order.length ? this.order[0] : null);
    }

    list() {
      this.order = this.found();
      const { all, queries } = this.group;
      const held = queries.length < all ? ` (the ${queries.length} of ${all} that moved most)` : "";
      const counted = `${queries.length} ${queries.length === 1 ? "query" : "queries"}`;
      const matching = this.search.value.trim() ? `${this.order.length} of ${counted} match` : counted;
      this.status.textContent = `${matching}${held}`;
      const buttons = this.order.slice(0, this.limit).map((i) => this.entry(i));
      if (this.order.length > this.limit) {
        const more = make("button", { type: "button", className: "more" }, `show ${Math.min(PAGE, this.order.length - this.limit)} more`);
        more.addEventListener("click", () => this.more());
        buttons.push(more);
      }
      this.picker.replaceChildren(...buttons);
      if (!buttons.length) this.picker.append(make("p", { className: "empty status" }, "no query matches"));
    }

    more() {
      const from = this.limit;
      this.limit += PAGE;
      this.list();
      this.mark(this.current);
      this.picker.children[from].focus();
    }

    entry(i) {
      const [id, text] = this.group.queries[i];
      const change = this.change(i);
      const button = make(
        "button",
        { type: "button", "data-query": String(i) },
        make("span", { className: "words", dir: "auto" }, text || id),
        make("span", { className: `delta ${tone(change)}` }, arrow(change) + signed(change)),
        make("span", { className: "values" }, `${this.group.first[i][0].toFixed(4)} → ${this.reranker.results[i][0].toFixed(4)}`),
      );
      button.addEventListener("click", () => this.show(i));
      return button;
    }

    /** One tab stop for the list; arrow keys, Home and End walk in it. */
    move(event) {
      const buttons = [...this.picker.querySelectorAll("button")];
      const at = buttons.indexOf(document.activeElement);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (at < 0 || to === undefined) return;
      event.preventDefault();
      const next = buttons[Math.max(0, Math.min(to, buttons.length - 1))];
      next.focus();
      if (next.dataset.query) this.show(Number(next.dataset.query));
    }

    mark(i) {
      this.picker.querySelectorAll("button[data-query]").forEach((button) => {
        const chosen = Number(button.dataset.query) === i;
        button.setAttribute("aria-current", String(chosen));
        button.tabIndex = chosen ? 0 : -1;
      });
    }

    show(i) {
      this.current = i;
      this.mark(i);
      if (i === null) return this.detail.replaceChildren();
      const [id, text] = this.group.queries[i];
      const [before, first] = this.group.first[i];
      const [after, top, was, now] = this.reranker.results[i];
      const change = this.change(i);
      const failure = Object.hasOwn(this.reranker.failures, id) ? this.reranker.failures[id] : null;
      const summary = make("p", { className: "summary" }, `${text ? `query ${id} · ` : ""}${this.group.measure} ${before.toFixed(4)} → ${after.toFixed(4)} `);
      summary.append(make("span", { className: tone(change) }, `${arrow(change)}${signed(change)}`));
      summary.append(` · ${this.group.relevants[i]} relevant among the candidates`);
      const left = first.map((doc, rank) => this.document(i, doc, rank + 1, now[rank], "to"));
      const right = top.map((doc, rank) => this.document(i, doc, rank + 1, was[rank], "from"));
      const side = (title, items, none) =>
        make("div", {}, make("h4", {}, title), items.length ? make("ol", { className: "ranked" }, ...items) : make("p", { className: "empty" }, none));
      const sides = make("div", { className: "sides" },
        side("first stage", left, "The first stage found nothing."),
        side(this.reranker.name, right, failure === null ? "It ranked nothing." : `The call failed: ${failure}`));
      this.detail.replaceChildren(make("h3", { dir: "auto" }, text || id), summary, this.sideChoice(sides), sides);
      return undefined;
    }

    /** On a narrow screen one side shows at a time; the style sheet hides this choice on a wide one. */
    sideChoice(sides) {
      const buttons = [["first", "first stage"], ["reranked", "reranked"]].map(([value, label]) => {
        const button = make("button", { type: "button", value }, label);
        button.addEventListener("click", () => { this.side = value; choose(); });
        return button;
      });
      const choose = () => {
        sides.dataset.side = this.side;
        buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.value === this.side)));
      };
      choose();
      return make("div", { className: "side-choice", role: "group", "aria-label": "ranking shown" }, ...buttons);
    }

    /** A ranked document; `other` is its rank on the other side, 0 when it is not there. */
    document(i, number, rank, other, side) {
      const [id, text] = this.data.docs[number];
      const grades = this.group.grades[i];
      const grade = Object.hasOwn(grades, number) ? grades[number] : null;
      const good = grade !== null && grade >= this.group.relevant;
      const words = grade === null ? "unjudged" : `grade ${grade}`;
      const head = make("div", { className: "head" },
        make("span", { className: "rank" }, String(rank)),
        this.movement(rank, other, side),
        make("span", { className: `badge ${grade === null ? "unjudged" : good ? "good" : ""}` }, good ? `✓ ${words}` : words),
        make("span", { className: "doc" }, id));
      const item = make("li", { className: good ? "good" : "", "data-doc": String(number) }, head);
      if (text) item.append(...this.text(text));
      const twins = (on) => this.detail.querySelectorAll(`li[data-doc="${number}"]`).forEach((one) => one.classList.toggle("twin", on));
      item.addEventListener("pointerenter", () => twins(true));
      item.addEventListener("pointerleave", () => twins(false));
      return item;
    }

    text(text) {
      const body = make("div", { className: "text", dir: "auto" }, text);
      if (text.length < 130) return [body];
      const toggle = make("button", { type: "button", className: "toggle", "aria-expanded": "false" }, "show more");
      toggle.addEventListener("click", () => {
        const open = body.classList.toggle("open");
        toggle.setAttribute("aria-expanded", String(open));
        toggle.textContent = open ? "show less" : "show more";
      });
      return [body, toggle];
    }

    movement(rank, other, side) {
      const steps = side === "from" ? other - rank : rank - other;
      if (!other) return make("span", { className: "move same", title: "not ranked on the other side" }, "·");
      if (!steps) return make("span", { className: "move same", title: "same rank" }, "=");
      const words = `${steps > 0 ? "↑" : "↓"} ${steps > 0 ? "+" : MINUS}${Math.abs(steps)}`;
      return make("span", { className: `move ${tone(steps)}`, title: side === "from" ? `was ${other}` : `now ${other}` }, words);
    }
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll(".filterable").forEach(makeFilter);
  setUpTips();
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.getElementById("drill");
  if (root && data.groups.length) {
    new DrillDown(root, data);
    document.querySelector(".no-script").hidden = true;
  }
  window.addEventListener("beforeprint", () => document.querySelectorAll("main > section > details").forEach((one) => { one.open = true; }));
})();
