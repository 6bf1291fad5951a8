/* Recipes of inversion: the distance left by gradient evaluations, and the pictures they end with. */

explorers.add("race", (page, data) => {
  const { chart, legend, make, number, picture, unpack } = explorers;
  const loss = unpack(data.loss), best = unpack(data.best);
  const { recipe, race_layer: layers, evaluation } = loss.dims;
  const yardstick = recipe[recipe.length - 1];

  page.slider("layer", "Layer", layers, { value: layers[Math.floor(layers.length / 2)] });
  page.choice("one", "Recipe", recipe, { value: recipe[Math.max(0, recipe.length - 4)] });
  page.choice("other", "beside", recipe, { value: yardstick });
  const lines = make("div", { class: "explorer-one" }), pictures = make("div", { class: "explorer-pictures" });
  page.body.append(lines, pictures);

  const at = evaluation.map((n) => Math.log10(Math.max(n, 1)));
  const ends = [at[0], at[at.length - 1]];
  const curve = (name, layer) => loss.along("evaluation", { recipe: name, race_layer: layer }).map((v, i) => [at[i], v]);
  return (state) => {
    const { layer, one, other } = state, values = recipe.flatMap((name) => curve(name, layer).map((p) => p[1])).filter((v) => v > 0);
    const chosen = [...new Set([one, other])];
    const end = best.at({ recipe: yardstick, race_layer: layer });
    lines.replaceChildren(legend(chosen), chart({
      title: `distance left, layer ${layer}`, xlabel: "gradient evaluations", log: true, x: ends, dashed: end,
      y: [Math.min(...values) * 0.9, Math.max(...values) * 1.1], ticks: [1, 3, 10, 30, 100, 300].filter((n) => n <= 10 ** ends[1]).map(Math.log10), named: (v) => String(Math.round(10 ** v)),
      lines: [...recipe.filter((name) => !chosen.includes(name)).map((name) => ({ points: curve(name, layer), look: 6, faint: true })),
        ...chosen.map((name, i) => ({ points: curve(name, layer), look: i }))],
    }));
    const near = data.layers.reduce((a, b) => (Math.abs(b - layer) < Math.abs(a - layer) ? b : a));
    pictures.replaceChildren(...chosen.map((name) => make("figure", {},
      picture(data.pictures[name], data.layers.indexOf(near), data.layers.length, `X′ of layer ${near} by ${name}`),
      make("figcaption", {}, `${name}, layer ${near}: ${number(best.at({ recipe: name, race_layer: near }))}`))));
    page.say(`Layer ${layer}: ` + chosen.map((name) => `${name} leaves ${number(best.at({ recipe: name, race_layer: layer }))} after ${data.budgets[name]} gradients`).join("; ") +
      `. The dashed line is where ${yardstick} ends, ${number(end)}; thin lines are the other recipes.`);
    page.table(["recipe", "gradients", ...layers.map((l) => `layer ${l}`)],
      recipe.map((name) => [name, data.budgets[name], ...layers.map((l) => number(best.at({ recipe: name, race_layer: l })))]));
  };
});
