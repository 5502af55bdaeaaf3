"""The game on paper: LaTeX formulas, a report in LaTeX or Markdown, and a diagram."""
