/* A click on a figure, or Enter on its link, shows it as large as the window allows. Escape, a click
   or the button closes it. Without scripts the link opens the picture itself. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const links = document.querySelectorAll(".bd-article a.image-reference:has(> img)");
  if (!links.length) return;
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Enlarged figure");
  dialog.innerHTML = '<button type="button">Close</button><div tabindex="0"><img alt=""></div>';
  document.body.append(dialog);
  const picture = dialog.querySelector("img");
  dialog.addEventListener("click", (event) => {
    if (event.target !== picture) dialog.close();
  });
  for (const link of links) {
    const small = link.querySelector("img");
    link.setAttribute("aria-label", `Enlarge this figure. ${small.alt}`);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      picture.src = link.href;
      picture.alt = small.alt;
      dialog.showModal();
    });
  }
});
