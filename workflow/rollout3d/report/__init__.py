"""The study's results for people: the paper's tables with its numbers beside ours, and one page that shows it all."""
