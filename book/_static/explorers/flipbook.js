/* X beside X′: an image, a layer, a model. */

explorers.add("flipbook", (page, data) => {
  const { make, number, picture, unpack } = explorers;
  const models = Object.keys(data.models), examples = data.pictures.X.map((_, i) => i + 1);
  const arrays = Object.fromEntries(models.map((model) =>
    [model, Object.fromEntries(Object.entries(data.models[model]).map(([key, array]) => [key, unpack(array)]))]));
  const { layer } = arrays[models[0]].distance.dims;

  page.choice("model", "Inverted model", models);
  page.choice("example", "Image", examples);
  page.slider("layer", "Layer", layer, { value: layer[Math.floor(layer.length / 2)] });
  const original = make("div"), inverted = make("div");
  page.body.append(make("div", { class: "explorer-pictures" },
    make("figure", {}, original, make("figcaption", {}, "X")),
    make("figure", {}, inverted, make("figcaption", {}, "X′, pictures are compressed"))));

  const others = (model) => Object.keys(arrays[model]).filter((key) => key.startsWith("other: ")).map((key) => key.slice(7));
  return (state) => {
    const { model, layer: at } = state, get = (key) => arrays[model][key].at({ layer: at });
    original.replaceChildren(picture(data.pictures.X[state.example - 1], 0, 1, `Image ${state.example}`));
    inverted.replaceChildren(picture(data.pictures[model][state.example - 1], layer.indexOf(at), layer.length,
      `X′ of image ${state.example} for layer ${at}, ${model}`));
    const change = model === models[0] ? "forgetting" : "learning";
    const told = others(model).map((other) => {
      const name = model !== models[0] ? "the pretrained model"
        : models.includes(other) ? `the ${other} model` : `the model fine-tuned for ${other}`;
      return `${name} ${number(get(`other: ${other}`))}, so ${change} is ${number(get(`change: ${other}`))}`;
    });
    page.say(`Layer ${at}, ${model}: the distance left is ${number(get("distance"))}. STIR: the model itself ${number(get("self"))}; ${told.join("; ")}.`);
    page.table(["layer", "distance left", "STIR, itself", ...others(model).flatMap((other) => [`STIR, ${other}`, `${change}, ${other}`])],
      layer.map((l) => [l, ...["distance", "self", ...others(model).flatMap((o) => [`other: ${o}`, `change: ${o}`])].map((key) => number(arrays[model][key].at({ layer: l }), 3))]));
  };
});
