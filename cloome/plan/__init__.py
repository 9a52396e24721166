"""The command for people `cloome plan`: what a run will fetch, store, do and take, before it starts."""
