/* A reader picks one of the hypotheses of appendix E.1 and sees what its correlation is worth. */

explorers.add("p_value", (page, data) => {
  const { chart, make, number, small, unpack } = explorers;
  const arrays = Object.fromEntries(Object.entries(data).filter(([, v]) => v.dims).map(([k, v]) => [k, unpack(v)]));
  const { dataset = [], estimator, epochs } = arrays.correlation.dims;
  const byParts = new Map(Object.entries(data.hypotheses).map(([name, parts]) => [parts.join(" | "), name]));
  const each = Object.values(data.hypotheses);
  const of = (i) => [...new Set(each.map((parts) => parts[i]))];
  const [quantities, layers, aggregates] = [of(0), of(1), of(2)];
  const ends = layers.map((words) => words.replace("-", "–"));

  page.choice("dataset", "Data set", dataset);
  page.choice("estimator", "CKA", estimator);
  page.choice("quantity", "Quantity", quantities, { value: quantities[Math.min(1, quantities.length - 1)] });
  page.choice("aggregate", "Over the layers", aggregates, { words: { std: "standard deviation" }, value: aggregates[1] });
  page.slider("layers", "Layers", layers, { words: (l) => ends[layers.indexOf(l)], value: layers[Math.floor(layers.length / 2)] });
  page.choice("epochs", "Epochs", epochs);
  const panels = make("div", { class: "explorer-panels" });
  page.body.append(panels);

  return (state) => {
    const hypothesis = byParts.get([state.quantity, state.layers, state.aggregate].join(" | "));
    const at = { ...state, hypothesis };
    const get = (name, other = hypothesis) => arrays[name].at({ ...at, hypothesis: other });
    const size = data.family[state.quantity];
    const family = Object.entries(data.hypotheses).filter(([, parts]) => (data.family[parts[0]] === size) &&
      (size > 88 || parts[0] === state.quantity)).map(([name]) => name);

    const x = arrays.series.along("epoch", at), y = arrays.accuracy.along("epoch", at);
    const first = state.epochs === epochs[0] ? 0 : 1;
    const points = x.map((v, i) => [v, y[i]]).slice(first);
    const span = (values) => {
      const low = Math.min(...values), high = Math.max(...values), room = 0.05 * (high - low) || 0.01;
      return [low - room, high + room];
    };
    const sorted = family.map((name) => [name, Math.abs(get("correlation", name))]).filter(([, r]) => Number.isFinite(r)).sort((a, b) => b[1] - a[1]);
    const rank = sorted.findIndex(([name]) => name === hypothesis);
    panels.replaceChildren(
      chart({ title: "corrupted accuracy, a dot an epoch", xlabel: hypothesis.replace(/-/g, "–"), x: span(points.map((p) => p[0])), y: span(points.map((p) => p[1])),
        lines: [{ points, look: 0, dots: 3.5 }] }),
      chart({ title: `|r| of the ${size}, the largest first`, xlabel: "rank", x: [0, sorted.length], y: [0, 1.02],
        lines: [{ points: sorted.map(([, r], i) => [i + 1, r]), look: 0, dots: 1.2, line: false },
          ...(rank < 0 ? [] : [{ points: [[rank + 1, sorted[rank][1]]], look: 1, dots: 5, line: false }])] }),
    );

    const r = get("correlation"), name = `${hypothesis.replace(/-(?=\d)/, "–")}, ${state.epochs}`;
    if (Number.isNaN(r)) { page.say(`${name}: it does not vary, so there is no correlation.`); return; }
    page.say(`${name}: r = ${number(r, 3)}. If the ${points.length} epochs were independent, p = ${small(get("p_value"))}; ` +
      `they are worth ${number(get("n_epochs_effective"), 1)}, so p = ${small(get("p_value_autocorrelation"))}. ` +
      `After Bonferroni for ${size}: ${small(get("p_value_bonferroni"))} and ${small(get("p_value_autocorrelation_bonferroni"))}. ` +
      `${Math.round(get("as_good"))} of the ${size} have a correlation at least as strong.`);

    page.table(["hypothesis", "r", "p", "p, effective", "Bonferroni", "Bonferroni, effective"],
      sorted.map(([other]) => [other, number(get("correlation", other), 3), ...["p_value", "p_value_autocorrelation", "p_value_bonferroni", "p_value_autocorrelation_bonferroni"].map((k) => small(get(k, other)))]));
  };
});
