// embed.js asks MathJax 2 to set the names of widgets. A page with formulas has a later MathJax.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.MathJax || MathJax.Hub) return;
  const set = (element) => MathJax.startup.promise.then(() => MathJax.typesetPromise([element]));
  MathJax.Hub = { Queue: ([, , element]) => set(element) };
});
