"""The stage `simulate`: an archive site of simulated plates in the real layout, for the demo."""
