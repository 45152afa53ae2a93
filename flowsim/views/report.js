// What the page does besides showing: opens what a link leads to, sorts tables, says where one is.
"use strict";
(() => {
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    const own = target.querySelector(":scope > details");
    if (own) own.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", () => { if (link.hash === location.hash) reveal(); });
  }

  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 64rem)");
  const fit = () => { contents.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();

  const sections = [...document.querySelectorAll("section > details")];
  const fold = document.querySelector(".fold");
  fold.hidden = false;
  fold.addEventListener("click", () => {
    const open = sections.some((section) => !section.open);
    for (const section of sections) section.open = open;
    fold.textContent = open ? "Fold all sections" : "Open all sections";
  });
  let before = [];
  addEventListener("beforeprint", () => {
    before = sections.map((section) => section.open);
    for (const section of sections) section.open = true;
  });
  addEventListener("afterprint", () => before.forEach((open, i) => { sections[i].open = open; }));

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of document.querySelectorAll("nav a")) {
        if (link.hash === "#" + entry.target.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
  }, { rootMargin: "0px 0px -75% 0px" });
  for (const section of document.querySelectorAll("main > [id]")) seen.observe(section);

  const value = (row, column) => row.cells[column] && row.cells[column].dataset.value;
  const order = (column, down) => (a, b) => {
    const [x, y] = [value(a, column), value(b, column)].map((text) => (text === undefined || text === "" ? NaN : Number(text)));
    const [s, t] = [a, b].map((row) => row.cells[column].textContent.trim());
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    const one = Number.isNaN(x) ? s.localeCompare(t) : x - y;
    return down ? -one : one;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        for (const body of table.tBodies) {
          const kept = [...body.rows].filter((row) => row.matches(".question, .smallest"));
          const rows = [...body.rows].filter((row) => !kept.includes(row)).sort(order(column, down));
          const last = kept.filter((row) => row.matches(".smallest"));
          body.append(...kept.filter((row) => !last.includes(row)), ...rows, ...last);
        }
      });
    });
  }
  reveal();
})();
