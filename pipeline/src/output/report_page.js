// Values under the pointer and zoom, in all plots of a window alike. Keys in a plot: arrows, + and -, Escape.
for (const section of document.querySelectorAll("section")) {
  const plots = [...section.querySelectorAll(".plot")].map(read);
  if (!plots.length) continue;
  const named = plots[0].figure.dataset.zone, [start, end] = plots[0].span;
  // A zone without a name is a difference to UTC: "+05:30".
  const fixed = /^([+-])(\d\d):(\d\d)$/.exec(named), zone = fixed ? "UTC" : named;
  const shift = fixed ? (fixed[1] === "-" ? -1 : 1) * (fixed[2] * 60 + +fixed[3]) * 60000 : 0;
  const clock = (options) => { try { return new Intl.DateTimeFormat(document.documentElement.lang, { ...options, timeZone: zone }) } catch { return new Intl.DateTimeFormat(document.documentElement.lang, { ...options, timeZone: "UTC" }) } };
  const time = clock({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }), day = clock({ day: "numeric", month: "short" });
  // Readings are exact to the second: 14:19:59.8 is 14:20. On older pages they lie on a ten-thousandth of the window, and half of it is added.
  const told = (at, long) => { at = (plots[0].figure.dataset.exact ? Math.round(at / 1000) * 1000 : at + (end - start) / 20000) + shift; return (long ? day.format(at) + " " : "") + time.format(at) };
  let from = start, to = end, cursor = null;

  function read(figure) {
    const { low, high, from, to, digits, unit } = figure.dataset;
    const span = [+from, +to], points = [];
    for (const path of figure.querySelectorAll(".course")) {
      for (const [, x, y] of path.getAttribute("d").matchAll(/(-?[\d.]+) (-?[\d.]+)/g)) {
        points.push([span[0] + x / 10000 * (span[1] - span[0]), +high - y / 1000 * (high - low)]);
      }
    }
    return { figure, span, points, digits: +digits, unit, area: figure.querySelector(".area"), svg: figure.querySelector(".area svg"),
      said: figure.querySelector("output"), axis: figure.querySelector(".x"), marks: [...figure.querySelectorAll(".word")] };
  }
  const share = (at) => (at - from) / (to - from) * 100;
  const nearest = (points, at) => {
    let a = 0, b = points.length - 1;
    while (b - a > 1) { const m = (a + b) >> 1; points[m][0] < at ? a = m : b = m }
    return points.length ? (Math.abs(points[a][0] - at) < Math.abs(points[b][0] - at) ? a : b) : -1;
  };
  function draw() {
    const whole = from === start && to === end, x = (at) => (at - start) / (end - start) * 10000;
    for (const plot of plots) {
      plot.svg.setAttribute("viewBox", `${x(from)} 0 ${x(to) - x(from)} 1000`);
      for (const mark of plot.marks) {
        const left = share(start + mark.dataset.at * (end - start));
        mark.style.left = left + "%";
        mark.hidden = left < 0 || left > 100;
      }
      plot.axis.first ??= plot.axis.innerHTML;
      plot.axis.innerHTML = whole ? plot.axis.first : [0, 1, 2, 3, 4].map((n) =>
        `<span style="left:${n * 25}%">${told(from + n / 4 * (to - from), to - from > 2 * 864e5)}</span>`).join("");
    }
    point();
  }
  function point() {
    for (const plot of plots) {
      let line = plot.area.querySelector(".cursor");
      if (cursor === null) { line?.remove(); plot.said.textContent = ""; continue }
      if (!line) { line = document.createElement("div"); line.className = "cursor"; plot.area.append(line) }
      const at = nearest(plot.points, cursor);
      line.style.left = share(cursor) + "%";
      if (at < 0) continue;
      const [when, value] = plot.points[at];
      const number = value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: plot.digits, useGrouping: false });
      plot.said.textContent = `${number}${plot.unit ? " " + plot.unit : ""}, ${told(when, end - start > 864e5)}`;
    }
  }
  function zoom(a, b) {
    const least = (end - start) / 500;
    [a, b] = [Math.max(start, Math.min(a, b)), Math.min(end, Math.max(a, b))];
    if (b - a >= least) [from, to] = [a, b];
    draw();
  }
  for (const plot of plots) {
    const at = (event) => { const box = plot.area.getBoundingClientRect(); return from + (event.clientX - box.left) / box.width * (to - from) };
    let begun = null, chosen = null;
    plot.area.addEventListener("pointerdown", (event) => { if (event.button === 0 && event.pointerType === "mouse") begun = at(event) });
    plot.area.addEventListener("pointermove", (event) => {
      cursor = at(event);
      if (begun !== null) {
        if (!chosen) { chosen = document.createElement("div"); chosen.className = "chosen"; plot.area.append(chosen) }
        chosen.style.left = share(Math.min(begun, cursor)) + "%";
        chosen.style.width = Math.abs(share(begun) - share(cursor)) + "%";
      }
      point();
    });
    const stop = (event) => {
      if (begun !== null && chosen) zoom(begun, at(event));
      chosen?.remove();
      begun = chosen = null;
    };
    plot.area.addEventListener("pointerup", stop);
    plot.area.addEventListener("pointerleave", (event) => { stop(event); cursor = null; point() });
    plot.area.addEventListener("dblclick", () => zoom(start, end));
    plot.area.addEventListener("blur", () => { cursor = null; point() });
    plot.area.addEventListener("keydown", (event) => {
      const inside = plot.points.filter(([when]) => when >= from && when <= to);
      const middle = cursor ?? (from + to) / 2, half = (to - from) / 2;
      const step = (by) => {
        const next = Math.min(inside.length - 1, Math.max(0, (cursor === null ? -by : nearest(inside, cursor)) + by));
        if (inside[next]) cursor = inside[next][0];
      };
      if (event.key === "ArrowRight") step(1);
      else if (event.key === "ArrowLeft") step(-1);
      else if (event.key === "+") zoom(middle - half / 2, middle + half / 2);
      else if (event.key === "-") zoom(middle - half * 2, middle + half * 2);
      else if (event.key === "Escape") zoom(start, end);
      else return;
      event.preventDefault();
      point();
    });
  }
}
