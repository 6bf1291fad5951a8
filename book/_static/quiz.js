/* Quizzes (papers/lessons/quizzes.py): say what is true of the option that was chosen. */

"use strict";

for (const quiz of document.querySelectorAll(".book-quiz")) {
  quiz.querySelector("details").hidden = true; // the answer, for readers without scripts
  quiz.addEventListener("change", ({ target }) => {
    const verdict = target.dataset.right === "true" ? "✓ Right." : "✗ Not this one.";
    quiz.querySelector("[role=status]").textContent = `${verdict} ${target.dataset.feedback}`;
  });
}
