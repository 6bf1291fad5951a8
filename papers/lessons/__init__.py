"""Lessons: answers to "Try it", quizzes and exercises, whose numbers come from the results."""

from papers.lessons.quizzes import quiz
from papers.lessons.try_it import answers

__all__ = ["answers", "quiz"]
