// The player: frames, predictions and maps of states from the pictures in the page, on canvases.
"use strict";
(() => {
  const root = document.getElementById("player");
  const data = document.getElementById("player-data");
  if (!root || !data) return;
  const scenes = JSON.parse(data.textContent);
  const FRAME_MS = 220;
  const ramp = (stops) => Array.from({ length: 256 }, (_, level) => {
    const at = (level / 255) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2), part = at - i;
    return stops[i].map((from, k) => Math.round(from + part * (stops[i + 1][k] - from)));
  });
  const GREY = ramp([[0, 0, 0], [255, 255, 255]]);
  const HEAT = ramp([[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]);
  const SIGNED = ramp([[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]]);
  const element = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, text] of Object.entries(attributes || {})) made.setAttribute(name, text);
    made.append(...children);
    return made;
  };
  const decoded = new Map();
  const decode = async (picture) => {
    if (!decoded.has(picture)) {
      decoded.set(picture, (async () => {
        const image = new Image();
        image.src = "data:image/png;base64," + picture.png;
        await image.decode();
        const canvas = element("canvas", { width: image.width, height: image.height });
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        const rgba = context.getImageData(0, 0, image.width, image.height).data;
        const levels = new Uint8Array(image.width * image.height);
        for (let i = 0; i < levels.length; i++) levels[i] = rgba[4 * i];
        return { ...picture, levels, across: image.width };
      })());
    }
    return decoded.get(picture);
  };
  const tile = (sheet, row, time) => {
    const { height, width, across, levels } = sheet;
    const out = new Uint8Array(height * width);
    for (let y = 0; y < height; y++) {
      const from = (row * height + y) * across + time * width;
      out.set(levels.subarray(from, from + width), y * width);
    }
    return out;
  };
  const paint = (canvas, levels, height, width, colours) => {
    canvas.height = height;
    canvas.width = width;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    levels.forEach((level, i) => image.data.set([...colours[level], 255], 4 * i));
    context.putImageData(image, 0, 0);
  };

  const choice = (name, text) => {
    const select = element("select", { "aria-label": text });
    return { select, label: element("label", { class: name }, element("span", {}, text), select) };
  };
  const controls = { scene: choice("scene", "recording"), flow: choice("flow", "flow of the world"), trial: choice("trial", "trial"), channel: choice("channel", "state channel") };
  const play = element("button", { type: "button", class: "play" }, "Play");
  const slider = element("input", { type: "range", min: 0, value: 0, step: 1, "aria-label": "frame" });
  const shown = element("fieldset", {}, element("legend", {}, "networks"));
  const status = element("output", {});
  const frame = element("canvas", { role: "img" });
  const frameTile = element("figure", { class: "tile" }, frame, element("figcaption", {}, "frame"));
  const networks = element("div", { class: "networks" });
  const bar = element("div", { class: "controls" }, ...Object.values(controls).map((one) => one.label), shown);
  const time = element("div", { class: "controls" }, play, element("label", {}, element("span", {}, "frame"), slider));
  root.replaceChildren(bar, time, status, element("div", { class: "network" }, frameTile), networks);

  let scene, cards, timer = null;
  const options = (select, texts) => select.replaceChildren(...texts.map((text, i) => element("option", { value: i }, text)));
  const KINDS = [
    ["prediction", "prediction"], ["error", "|error|"], ["raw", "state, as it is"],
    ["carried", "carried back along the flow"], ["mean", "carried back, mean over time"],
  ];
  const load = () => {
    scene = scenes[controls.scene.select.value];
    options(controls.flow.select, scene.flows);
    options(controls.trial.select, scene.trials);
    const states = scene.networks.map((network) => network.state).filter(Boolean);
    const most = Math.max(0, ...states.map((state) => state.channels.length));
    options(controls.channel.select, Array.from({ length: most }, (_, i) => (i ? `${i + 1} of ${most} by activity` : "most active")));
    controls.flow.label.hidden = scene.flows.length < 2;
    controls.channel.label.hidden = !most;
    if (scene.flows.length > 1) controls.flow.select.value = scene.flows.length - 1;
    slider.max = scene.times.length - 1;
    slider.value = slider.max;
    const off = new Set([...shown.querySelectorAll("input:not(:checked)")].map((input) => input.value));
    shown.replaceChildren(element("legend", {}, "networks"));
    networks.replaceChildren();
    cards = scene.networks.map((network, i) => {
      const box = element("input", { type: "checkbox", value: network.name });
      box.checked = shown.dataset.touched ? !off.has(network.name) : i < 4;
      box.addEventListener("change", () => { shown.dataset.touched = "1"; draw(); });
      shown.append(element("label", {}, box, " " + network.name));
      const has = { prediction: network.prediction, error: network.prediction, raw: network.state, carried: network.state, mean: network.state };
      const tiles = Object.fromEntries(KINDS.filter(([kind]) => has[kind]).map(([kind, text]) => {
        const canvas = element("canvas", { role: "img" });
        const caption = element("figcaption", {}, text);
        return [kind, { canvas, caption, text, figure: element("figure", { class: "tile" }, canvas, caption) }];
      }));
      const card = element("div", { class: "network" }, element("h3", {}, network.name), ...Object.values(tiles).map((one) => one.figure));
      networks.append(card);
      return { network, box, tiles, card };
    });
    draw();
  };
  const blank = (one, text) => {
    one.canvas.height = one.canvas.width = 1;
    one.canvas.getContext("2d").clearRect(0, 0, 1, 1);
    one.canvas.style.visibility = "hidden";
    one.caption.textContent = one.text + ": " + text;
    one.canvas.setAttribute("aria-label", one.caption.textContent);
  };
  const put = (one, levels, sheet, colours, text) => {
    one.canvas.style.visibility = "";
    paint(one.canvas, levels, sheet.height, sheet.width, colours);
    one.caption.textContent = one.text + (text ? ", " + text : "");
    one.canvas.setAttribute("aria-label", one.caption.textContent);
  };
  let turn = 0;
  const draw = async () => {
    const mine = ++turn;
    const [flow, trial, channel] = ["flow", "trial", "channel"].map((name) => Number(controls[name].select.value || 0));
    const t = Number(slider.value);
    const row = flow * scene.trials.length + trial;
    const sheet = await decode(scene.frames);
    const sheets = await Promise.all(cards.map(async ({ network }) => ({
      prediction: network.prediction && await decode(network.prediction),
      raw: network.state && await decode(network.state.raw),
      carried: network.state && await decode(network.state.carried),
    })));
    if (mine !== turn) return;
    const seen = tile(sheet, row, t);
    paint(frame, seen, sheet.height, sheet.width, GREY);
    frame.setAttribute("aria-label", `frame ${scene.times[t]} of the stimulus, ${scene.trials[trial]}, ${scene.flows[flow]}`);
    const errors = [];
    cards.forEach(({ network, box, tiles, card }, i) => {
      card.hidden = !box.checked;
      card.style.display = box.checked ? "" : "none";
      if (!box.checked) return;
      if (tiles.prediction) {
        const mse = network.mse[flow][trial][t];
        if (mse === null) {
          blank(tiles.prediction, "none yet");
          blank(tiles.error, "none yet");
        } else {
          const predicted = tile(sheets[i].prediction, row, t);
          put(tiles.prediction, predicted, sheet, GREY);
          put(tiles.error, predicted.map((level, k) => Math.abs(level - seen[k])), sheet, HEAT, `MSE ${mse}`);
          errors.push(`${network.name} MSE ${mse}`);
        }
      }
      if (tiles.raw) {
        const { state } = network, { raw, carried } = sheets[i];
        const colours = state.raw.signed ? SIGNED : HEAT;
        const own = Math.min(channel, state.channels.length - 1);
        const of = row * state.channels.length + own;
        if (!state.has[flow]) {
          for (const kind of ["raw", "carried", "mean"]) blank(tiles[kind], "V has no channel of this velocity");
        } else {
          put(tiles.raw, tile(raw, of, t), raw, colours, `channel ${state.channels[own]}`);
          put(tiles.carried, tile(carried, of, t), carried, colours);
          const every = scene.times.map((_, k) => tile(carried, of, k));
          put(tiles.mean, every[0].map((_, k) => Math.round(every.reduce((sum, one) => sum + one[k], 0) / every.length)), carried, colours);
        }
      }
    });
    const phase = t < 0 || !scene.context || scene.times[t] < scene.context ? "" : " (predicted without seeing it)";
    status.textContent = `frame ${scene.times[t]} of ${scene.times[0]} to ${scene.times.at(-1)}${phase}. ${errors.join("; ")}`;
    slider.setAttribute("aria-valuetext", `frame ${scene.times[t]}`);
    root.dataset.drawn = `${scene.title} ${flow} ${trial} ${t}`;
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; status.setAttribute("aria-live", "polite"); };
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    status.setAttribute("aria-live", "off");
    timer = setInterval(() => { slider.value = (Number(slider.value) + 1) % scene.times.length; draw(); }, FRAME_MS);
  });
  slider.addEventListener("input", () => { stop(); draw(); });
  for (const name of ["flow", "trial", "channel"]) controls[name].select.addEventListener("change", draw);
  controls.scene.select.addEventListener("change", load);
  options(controls.scene.select, scenes.map((one) => one.title));
  controls.scene.label.hidden = scenes.length < 2;
  load();

  // The stimulus, moving beside the table of networks: still where less motion is asked for.
  const stage = document.getElementById("stimulus");
  if (!stage) return;
  const [canvas, button] = [stage.querySelector("canvas"), stage.querySelector("button")];
  const { frames, trials, times } = scenes[Number(stage.dataset.scene)];
  const few = Math.min(trials.length, 4);
  let at = 0, moving = null;
  const show = async () => {
    const sheet = await decode(frames);
    const { height, width } = sheet, wide = few * (width + 1) - 1;
    const all = new Uint8Array(height * wide).fill(90);
    for (let k = 0; k < few; k++) {
      const one = tile(sheet, k, at);
      for (let y = 0; y < height; y++) all.set(one.subarray(y * width, (y + 1) * width), y * wide + k * (width + 1));
    }
    paint(canvas, all, height, wide, GREY);
  };
  const run = (on) => {
    clearInterval(moving);
    moving = on ? setInterval(() => { at = (at + 1) % times.length; show(); }, FRAME_MS) : null;
    button.textContent = on ? "Pause the stimulus" : "Play the stimulus";
  };
  button.addEventListener("click", () => run(!moving));
  button.hidden = false;
  show();
  run(!matchMedia("(prefers-reduced-motion: reduce)").matches);
})();
