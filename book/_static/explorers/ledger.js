/* The ledger is complete without this; here is the choice of what it shows. */

explorers.add("ledger", (page, data, host) => {
  const { make } = explorers;
  const claims = [...host.querySelectorAll("li[data-paper]")], parts = [...host.querySelectorAll("details")];
  const found = (key) => ["all", ...new Set(claims.map((claim) => claim.dataset[key]).filter(Boolean))];

  page.keep = page.plain = true;
  page.choice("paper", "Paper", ["all", ...found("paper").slice(1).sort()]);
  page.choice("verdict", "Verdict", found("verdict"));
  page.choice("hangs", "Hangs on", ["all", "estimator", "self term", "recipe"], { words: { all: "anything, or nothing" } });
  const open = (yes) => () => parts.forEach((part) => { part.open = yes; });
  page.controls.append(make("span", { class: "explorer-buttons" },
    make("button", { type: "button", onclick: open(true) }, "Open all"), " ", make("button", { type: "button", onclick: open(false) }, "Close all")));

  return (state) => {
    const fits = ({ dataset: { paper, verdict, hangs } }) => (state.paper === "all" || paper === state.paper) &&
      (state.verdict === "all" || verdict === state.verdict) && (state.hangs === "all" || hangs.includes(state.hangs));
    let shown = 0;
    for (const part of parts) {
      const own = [...part.querySelectorAll("li[data-paper]")].map((claim) => {
        claim.hidden = !fits(claim);
        return !claim.hidden;
      }).filter(Boolean).length;
      part.hidden = !own;
      part.querySelector("summary > b").textContent = own === part.querySelectorAll("li").length ? "" : `${own} chosen`;
      shown += own;
    }
    page.say(`${shown} of ${claims.length} verdicts are shown, in ${parts.filter((part) => !part.hidden).length} sections. The verdict that comes first is that of debiased CKA with the measured self term.`);
  };
});
