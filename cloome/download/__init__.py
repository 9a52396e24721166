"""The stage download: fetches plate archives, compound tables, labels and published weights."""
