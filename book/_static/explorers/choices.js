/* Curves by layer and the claims judged on them, for every choice that a reader may make. */

explorers.add("choices", (page, data) => {
  const { chart, legend, make, number, unpack } = explorers;
  const parts = Object.fromEntries(Object.entries(data.parts).map(([name, arrays]) =>
    [name, Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key, unpack(array)]))]));
  const names = Object.keys(parts), { curves, numbers } = parts[names[0]];
  const { self_term: terms, estimator, seed, left_out: images, layer } = curves.dims;
  const all = [...new Set(names.flatMap((name) => parts[name].curves.dims[data.hue]))];
  const before = { estimator: estimator[estimator.length - 1], self_term: terms[0], seed: "all", left_out: "none" };

  page.choice("part", "Data set", names);
  page.choice("estimator", "CKA", estimator, { value: before.estimator });
  page.choice("self_term", "Self term", terms, { words: { measured: "measured", one: "taken as 1" } });
  page.choice("seed", "Training or draw", seed, { words: { all: `all ${seed.length - 1}` } });
  if (images.length > 1) page.slider("left_out", "Image left out of each draw:", images);
  else page.state.left_out = "none";
  const toLayer = page.slider("layer", "Read off at layer", layer, { value: layer[layer.length - 1] });

  const panels = make("div", { class: "explorer-panels" });
  const list = make("ul", { class: "explorer-claims", tabindex: 0, "aria-label": "Verdicts on the claims of this page" });
  const names_of_lines = make("div");
  page.body.append(names_of_lines, panels, list);

  const measures = ["learning", "forgetting", "CKA divergence"];
  function curve(state, measure, hue) {
    if (!parts[state.part].curves.dims[data.hue].includes(hue)) return layer.map(() => NaN);
    const at = { ...state, measure, [data.hue]: hue };
    return measure === "CKA divergence" ? parts[state.part].divergence.along("layer", at) : parts[state.part].curves.along("layer", at);
  }
  const ranges = {}; // the same axes for all choices of a data set, so that curves are seen to move
  function range(state) {
    return ranges[state.part] ??= (() => {
      const values = [];
      for (const e of estimator) for (const t of terms) for (const s of parts[state.part].curves.dims.seed) for (const h of all) for (const m of measures)
        values.push(...curve({ ...state, estimator: e, self_term: t, seed: s, left_out: "none" }, m, h).filter(Number.isFinite));
      return [Math.min(0, ...values) - 0.02, Math.max(...values) + 0.02];
    })();
  }
  const verdict = (state, claim) => data.verdicts[Math.round(parts[state.part].verdicts.at({ ...state, claim }))];
  const signs = { reproduced: "✓", undecided: "≈", "not reproduced": "✗" };

  // Not every data set has as many trainings, or results with one image left out.
  const called = { seed: "training", left_out: "image left out" };
  const lacking = (asked) => Object.keys(called).filter((key) => !parts[asked.part].curves.dims[key].includes(asked[key]));

  return (asked) => {
    const lacks = lacking(asked);
    const state = { ...asked, ...Object.fromEntries(lacks.map((key) => [key, before[key]])) };
    const hues = all.filter((hue) => curve(state, "learning", hue).some(Number.isFinite));
    names_of_lines.replaceChildren(legend(hues));
    const base = { ...state, ...before };
    const moved = Object.keys(before).some((key) => state[key] !== before[key]);
    const pick = (x) => toLayer(layer[Math.max(0, Math.min(layer.length - 1, Math.round(x - layer[0])))]);
    panels.replaceChildren(...measures.map((measure) => chart({
      title: measure, xlabel: "layer", x: [layer[0], layer[layer.length - 1]], y: range(state), mark: state.layer, pick,
      lines: [
        ...(moved ? hues.map((hue, i) => ({ points: curve(base, measure, hue).map((v, k) => [layer[k], v]), look: i, faint: true })) : []),
        ...hues.map((hue, i) => ({ points: curve(state, measure, hue).map((v, k) => [layer[k], v]), look: i, dots: true })),
      ],
    })));

    const counts = {}, changed = [];
    list.replaceChildren(...data.claims.map((claim) => {
      const now = verdict(state, claim.id), then = verdict(base, claim.id);
      counts[now] = (counts[now] ?? 0) + 1;
      if (now !== then) changed.push(claim.id);
      const value = parts[state.part].numbers.at({ ...state, claim: claim.id });
      const unit = claim.unit === "1" ? "" : ` ${claim.unit}`;
      const said = Number.isNaN(value) ? "" : ` ${number(value, 3)}${unit}, holds if ${claim.condition[state.estimator][state.self_term]}`;
      return make("li", { class: `verdict-${now.replaceAll(" ", "-")}${now !== then ? " changed" : ""}`, "data-claim": claim.id },
        make("strong", {}, `${signs[now] ?? "·"} ${now}`), now !== then ? ` (was: ${then})` : "", said,
        make("span", {}, claim.words));
    }));

    const deep = state.layer, k = layer.indexOf(deep);
    const values = measures.map((measure) => `${measure} ` + hues.map((hue) => `${number(curve(state, measure, hue)[k])} (${hue})`).join(", "));
    const told = data.verdicts.filter((v) => counts[v]).map((v) => `${counts[v]} ${v}`).join(", ");
    page.say(`Layer ${deep}: ${values.join("; ")}. Of ${data.claims.length} claims: ${told}. `,
      make("strong", {}, moved ? `${changed.length} ${changed.length === 1 ? "verdict differs" : "verdicts differ"} from debiased, measured, all of them and all images.` : ""),
      lacks.length ? ` ${asked.part} has no such ${lacks.map((key) => called[key]).join(" and no such ")} here, so this is about all of them.` : "");

    page.table(["layer", ...measures.flatMap((m) => hues.map((hue) => `${m}, ${hue}`))],
      layer.map((l, i) => [l, ...measures.flatMap((m) => hues.map((hue) => number(curve(state, m, hue)[i], 3)))]));
  };
});
