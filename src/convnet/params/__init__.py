"""params.yaml: schema, recipes, checks, edits."""
