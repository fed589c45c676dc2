"""Floor 2b: how scopes and executions come about, change hands and end; who may do what when."""
